-- Financial aid applications by student: the newest status. Which of the two is never told.
WITH newest AS (
    SELECT
        SSID,
        arg_max(ApplicationStatus, (OccurredAt, EventID)) AS status,
        max(OccurredAt) AS since
    FROM financial_aid_applications
    GROUP BY SSID
)

SELECT
    roster.*,
    'FAFSA/CADAA' AS "Application Type",
    newest.status AS "Application Status",
    california_day(newest.since) AS "Status Date"
FROM roster JOIN newest USING (SSID)
