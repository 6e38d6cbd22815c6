// An accountant: a bill for each order in a feed, once, whatever dies.
//
// DATABASE_URL='jdbc:postgresql://localhost/bills?user=bills' FEED_URL=http://127.0.0.1:8081/feed \
//     java -cp postgresql.jar Consumer.java

import java.net.URI;
import java.net.http.*;
import java.sql.*;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

class Consumer {
    static final String FEED = System.getenv("FEED_URL");
    static final HttpClient HTTP = HttpClient.newHttpClient();
    static final Pattern NEXT = Pattern.compile("<([^>]*)>; *rel=\"next\"");
    static final String SCHEMA = """
        CREATE TABLE IF NOT EXISTS bill (order_id BIGINT NOT NULL, cents BIGINT NOT NULL);
        CREATE TABLE IF NOT EXISTS feed_place (feed TEXT PRIMARY KEY, next TEXT NOT NULL)""";
    // PostgreSQL reads the JSON, since the JDK cannot.
    static final String EVENTS = """
        SELECT event ->> 'type' AS type, event -> 'data' AS data
        FROM jsonb_array_elements(?::jsonb) WITH ORDINALITY AS batch (event, place) ORDER BY place""";

    record Batch(String events, String next) {}

    /** Returns the events at this address, and the address after them. */
    static Batch ask(String url) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(url))
            .headers("Accept", "application/cloudevents-batch+json", "Prefer", "wait=20").build();
        var answer = HTTP.sendAsync(request, HttpResponse.BodyHandlers.ofString()).get(60, TimeUnit.SECONDS);
        if (answer.statusCode() == 410) {
            System.err.println("the feed is not the one that was read: " + answer.body());
            System.exit(1);
        }
        var link = NEXT.matcher(String.join(", ", answer.headers().allValues("Link")));
        if (answer.statusCode() != 200 || !link.find()) {
            throw new IllegalStateException(url + " answered " + answer.statusCode());
        }
        // A NUL in a string is JSON, but no text of PostgreSQL.
        return new Batch(answer.body().replace("\\u0000", "\\ufffd"), link.group(1));
    }

    /** The part that you replace. */
    static void bill(Connection db, String type, String data) throws SQLException {
        if (type.equals("order.placed")) {
            update(db, """
                INSERT INTO bill SELECT * FROM jsonb_to_record(?::jsonb) AS data (id BIGINT, cents BIGINT)""", data);
        }
    }

    /** Effects and the new place are one transaction. Another process may have taken the same events. */
    static void take(Connection db) throws Exception {
        String url;
        try (var place = prepare(db, "SELECT next FROM feed_place WHERE feed = ?", FEED);
             var row = place.executeQuery()) {
            row.next();
            url = row.getString("next");
        }
        var batch = ask(url);
        db.setAutoCommit(false);
        if (update(db, "UPDATE feed_place SET next = ? WHERE feed = ? AND next = ?", batch.next, FEED, url) == 1) {
            try (var statement = prepare(db, EVENTS, batch.events); var event = statement.executeQuery()) {
                while (event.next()) {
                    bill(db, event.getString("type"), event.getString("data"));
                }
            }
        }
        db.commit();
        db.setAutoCommit(true);
    }

    static int update(Connection db, String sql, String... values) throws SQLException {
        try (var statement = prepare(db, sql, values)) {
            return statement.executeUpdate();
        }
    }

    static PreparedStatement prepare(Connection db, String sql, String... values) throws SQLException {
        var statement = db.prepareStatement(sql);
        for (int i = 0; i < values.length; i++) {
            statement.setString(i + 1, values[i]);
        }
        return statement;
    }

    public static void main(String[] args) throws InterruptedException {
        for (long pause = 500;; pause = Math.min(2 * pause, 30_000)) {
            try (var db = DriverManager.getConnection(System.getenv("DATABASE_URL"))) {
                update(db, SCHEMA);
                update(db, "INSERT INTO feed_place VALUES (?, ?) ON CONFLICT DO NOTHING", FEED, FEED + "?after=start");
                for (;; pause = 500) {
                    take(db);
                }
            } catch (Exception error) {
                System.err.println(error + "; trying again");
            }
            Thread.sleep(pause);
        }
    }
}
