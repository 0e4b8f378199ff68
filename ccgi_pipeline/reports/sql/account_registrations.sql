-- Every student of the roster, with the day of the first registration and the newest account type.
WITH accounts AS (
    SELECT
        SSID,
        arg_max(AccountType, (OccurredAt, EventID)) AS account_type,
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
