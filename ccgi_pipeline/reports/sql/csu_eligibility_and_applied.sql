-- Each student's way to CSU beside the furthest that an application to Cal State Apply has come in
-- the student's newest application year.
WITH newest AS (
    SELECT SSID, CollegeName, ApplicationStatus AS status
    FROM college_applications
    WHERE ApplicationType = 'Cal State Apply'
    QUALIFY admission_year(OccurredAt) = max(admission_year(OccurredAt)) OVER (PARTITION BY SSID)
),

furthest AS (
    SELECT
        SSID,
        arg_max(status, status_rank(status)) AS status,
        count(DISTINCT CollegeName) AS campuses
    FROM newest
    GROUP BY ALL
)

SELECT
    roster.*,
    eligibility.status AS "CSU Eligibility (Estimate)",
    eligibility.average AS "CSU GPA",
    coalesce(furthest.status, 'Not Applied') AS "Cal State Apply Status",
    coalesce(furthest.campuses, 0) AS "# of Campuses"
FROM roster
JOIN eligibility
    ON eligibility._sender = roster.cd AND eligibility.SSID = roster.SSID
    AND eligibility.system = 'CSU'
LEFT JOIN furthest ON furthest.SSID = roster.SSID
