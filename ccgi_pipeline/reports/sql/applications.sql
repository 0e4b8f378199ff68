-- College applications by student, application and college, and financial aid by student: the
-- furthest status of the newest application year. Which of FAFSA and CADAA a student filed is never
-- told. A launch that names no college began the applications of its year that do.
WITH steps AS (
    SELECT
        SSID, ApplicationType, CollegeName AS college,
        ApplicationStatus AS status, OccurredAt, admission_year(OccurredAt) AS year
    FROM college_applications
    UNION ALL
    SELECT SSID, 'FAFSA/CADAA', NULL, ApplicationStatus, OccurredAt, aid_year(OccurredAt)
    FROM financial_aid_applications
),

newest AS (
    SELECT * FROM steps
    QUALIFY year = max(year) OVER (PARTITION BY SSID, ApplicationType, college)
),

furthest AS (
    SELECT
        SSID, ApplicationType, college, year,
        arg_max(status, status_rank(status)) AS status,
        arg_min(OccurredAt, (-status_rank(status), OccurredAt)) AS since
    FROM newest
    GROUP BY ALL
),

shown AS (
    SELECT * FROM furthest
    QUALIFY
        college IS NOT NULL
        OR status_rank(status) > coalesce(
            max(status_rank(status)) FILTER (college IS NOT NULL)
                OVER (PARTITION BY SSID, ApplicationType, year),
            0
        )
)

SELECT
    roster.*,
    shown.ApplicationType AS "Application Type",
    shown.status AS "Application Status",
    coalesce(shown.college, 'N/A') AS "College Name",
    california_day(shown.since) AS "Status Date"
FROM roster JOIN shown USING (SSID)
