-- What each student did to explore careers; students who did nothing are left out.
WITH assessed AS (
    SELECT
        SSID,
        count(DISTINCT AssessmentName) AS started,
        count(DISTINCT AssessmentName) FILTER (AssessmentStatus = 'Completed') AS completed,
        max(OccurredAt) AS newest
    FROM assessments
    GROUP BY SSID
),

careers AS (
    SELECT SSID, count(*) AS favorited, max(newest) AS newest
    FROM (
        SELECT
            SSID, FavoriteName,
            arg_max(Action, (OccurredAt, EventID)) AS last_action,
            max(OccurredAt) AS newest
        FROM favorites
        WHERE FavoriteType = 'Career'
        GROUP BY ALL
    )
    WHERE last_action = 'Added'
    GROUP BY SSID
)

SELECT
    roster.*,
    coalesce(assessed.started, 0) AS "Assessments Started",
    coalesce(assessed.completed, 0) AS "Assessments Completed",
    coalesce(careers.favorited, 0) AS "Careers Favorited",
    california_day(greatest(assessed.newest, careers.newest)) AS "Last Activity Date"
FROM roster
LEFT JOIN assessed USING (SSID)
LEFT JOIN careers USING (SSID)
WHERE assessed.SSID IS NOT NULL OR careers.SSID IS NOT NULL
