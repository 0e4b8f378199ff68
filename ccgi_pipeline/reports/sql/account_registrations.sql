-- Every student of the roster, with the account that was opened first, if any.
WITH accounts AS (
    SELECT
        SSID,
        arg_min(AccountType, (OccurredAt, EventID)) AS account_type,
        min(OccurredAt) AS since
    FROM account_registrations
    GROUP BY SSID
)

SELECT
    roster.*,
    CASE WHEN accounts.SSID IS NULL THEN 'Not Registered' ELSE 'Registered' END AS "Account Status",
    coalesce(accounts.account_type, '') AS "Account Type",
    california_day(accounts.since) AS "Registration Date"
FROM roster LEFT JOIN accounts USING (SSID)
