-- How often each student wrote in the journal, by topic. The words themselves never come here.
WITH entries AS (
    SELECT
        SSID,
        coalesce(JournalTopic, 'No Topic') AS topic,
        count(*) AS entries,
        max(OccurredAt) AS since
    FROM journals
    GROUP BY ALL
)

SELECT
    roster.*,
    entries.topic AS "Journal Topic",
    entries.entries AS "# of Entries",
    california_day(entries.since) AS "Last Entry Date"
FROM roster JOIN entries USING (SSID)
