-- College applications by student, application and college, and financial aid by student: the
-- newest status. Which of FAFSA and CADAA a student filed is never told.
WITH steps AS (
    SELECT
        SSID, ApplicationType, coalesce(CollegeName, 'N/A') AS college,
        ApplicationStatus AS status, OccurredAt, EventID
    FROM college_applications
    UNION ALL
    SELECT SSID, 'FAFSA/CADAA', 'N/A', ApplicationStatus, OccurredAt, EventID
    FROM financial_aid_applications
),

newest AS (
    SELECT
        SSID, ApplicationType, college,
        arg_max(status, (OccurredAt, EventID)) AS status,
        max(OccurredAt) AS since
    FROM steps
    GROUP BY ALL
)

SELECT
    roster.*,
    newest.ApplicationType AS "Application Type",
    newest.status AS "Application Status",
    newest.college AS "College Name",
    california_day(newest.since) AS "Status Date"
FROM roster JOIN newest USING (SSID)
