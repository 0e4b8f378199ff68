-- Financial aid applications by student: the furthest status of the newest application year. Which
-- of the two is never told.
WITH newest AS (
    SELECT SSID, ApplicationStatus AS status, OccurredAt
    FROM financial_aid_applications
    QUALIFY aid_year(OccurredAt) = max(aid_year(OccurredAt)) OVER (PARTITION BY SSID)
),

furthest AS (
    SELECT
        SSID,
        arg_max(status, status_rank(status)) AS status,
        arg_min(OccurredAt, (-status_rank(status), OccurredAt)) AS since
    FROM newest
    GROUP BY SSID
)

SELECT
    roster.*,
    'FAFSA/CADAA' AS "Application Type",
    furthest.status AS "Application Status",
    california_day(furthest.since) AS "Status Date"
FROM roster JOIN furthest USING (SSID)
