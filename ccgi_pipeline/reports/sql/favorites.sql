-- What is among each student's favorites now: what was added last and not removed since.
WITH newest AS (
    SELECT
        SSID, FavoriteType, FavoriteName,
        arg_max(Action, (OccurredAt, EventID)) AS last_action,
        max(OccurredAt) AS since
    FROM favorites
    GROUP BY ALL
)

SELECT
    roster.*,
    newest.FavoriteType AS "Favorite Type",
    newest.FavoriteName AS "Favorite Name",
    california_day(newest.since) AS "Date Added"
FROM roster JOIN newest USING (SSID)
WHERE newest.last_action = 'Added'
