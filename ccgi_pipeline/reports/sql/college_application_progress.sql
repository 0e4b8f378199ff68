-- How far each student has come with applications to colleges, of any kind: the furthest status of
-- the newest application year of each application, as in the report of applications and launches.
WITH newest AS (
    SELECT SSID, ApplicationStatus AS status
    FROM college_applications
    QUALIFY
        admission_year(OccurredAt) = max(admission_year(OccurredAt)) OVER (
            PARTITION BY SSID, ApplicationType, CollegeName
        )
),

furthest AS (
    SELECT SSID, max(status_rank(status)) AS reached
    FROM newest
    GROUP BY SSID
)

SELECT
    roster.*,
    CASE
        WHEN furthest.reached >= status_rank('Submitted') THEN 'Submitted' ELSE 'Started'
    END AS "Application Progress"
FROM roster JOIN furthest USING (SSID)
