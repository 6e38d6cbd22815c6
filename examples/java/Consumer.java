// An accountant: a bill for each order in a feed, once, whatever dies.
//
// DATABASE_URL='jdbc:postgresql://localhost/bills?user=bills' FEED_URL=http://127.0.0.1:8081/feed \
//     java -cp postgresql.jar Consumer.java

import java.net.URI;
import java.net.http.*;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.util.Base64;
import java.util.concurrent.TimeUnit;

class Consumer {
    static final URI GIVEN = URI.create(System.getenv("FEED_URL"));
    /** This is stored and logged. User and password in the URL are only sent. */
    static final String FEED = GIVEN.toString().replaceFirst("//[^/]*@", "//");
    static final HttpClient HTTP = HttpClient.newHttpClient();
    static final String SCHEMA = """
        CREATE TABLE IF NOT EXISTS bill (order_id BIGINT NOT NULL, cents BIGINT NOT NULL);
        CREATE TABLE IF NOT EXISTS feed_cursor (feed TEXT PRIMARY KEY, cursor TEXT NOT NULL, sequence BIGINT NOT NULL);
        CREATE TABLE IF NOT EXISTS feed_claim (event TEXT PRIMARY KEY, failed TEXT)""";
    static final String CURSOR = "SELECT coalesce(min(cursor), 'start'), coalesce(min(sequence), 0) FROM feed_cursor WHERE feed = ?";
    static final String MOVE = """
        INSERT INTO feed_cursor VALUES (?, ?, ?::bigint)
        ON CONFLICT (feed) DO UPDATE SET cursor = excluded.cursor, sequence = excluded.sequence""";
    static final String KEEP = "INSERT INTO feed_claim VALUES (?, ?) ON CONFLICT (event) DO UPDATE SET failed = excluded.failed";
    // PostgreSQL reads the JSON, since the JDK cannot. What jsonb refuses fails in `bill`, for one event alone.
    static final String EVENTS = """
        SELECT event ->> 'id' AS id, event ->> 'type' AS type, event ->> 'sequence' AS sequence, event -> 'data' AS data
        FROM json_array_elements(?::json) WITH ORDINALITY AS batch (event, place) ORDER BY place""";

    /** How long the feed asks to wait, in seconds. */
    static long later;

    /** Returns the events at this address. Follows no redirect: who answers elsewhere is another feed. */
    static HttpResponse<String> ask(String url) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(url))
            .headers("Accept", "application/cloudevents-batch+json", "Prefer", "wait=20");
        if (GIVEN.getUserInfo() != null) {
            var user = GIVEN.getUserInfo().getBytes(StandardCharsets.UTF_8);
            request.header("Authorization", "Basic " + Base64.getEncoder().encodeToString(user));
        }
        // The whole answer, which may have 8 MiB and come by a slow connection.
        later = 0;
        var answer = HTTP.sendAsync(request.build(), HttpResponse.BodyHandlers.ofString()).get(10, TimeUnit.MINUTES);
        if (answer.statusCode() == 410) {
            System.err.println("the feed is not the one that was read: " + answer.body());
            System.exit(1);
        }
        later = answer.headers().firstValue("Retry-After").filter(text -> text.matches("\\d{1,4}")).map(Long::valueOf).orElse(0L);
        if (answer.statusCode() != 200) throw new IllegalStateException(url + " answered " + answer.statusCode());
        return answer;
    }

    /** The part that you replace. */
    static void bill(Connection db, String type, String data) throws SQLException {
        if (!type.equals("order.placed")) return;
        update(db, "INSERT INTO bill SELECT * FROM jsonb_to_record(?::jsonb) AS data (id BIGINT, cents BIGINT)", data);
    }

    /** An event that cannot be billed stops no other one. What may pass is tried again. */
    static void claim(Connection db, String id, String type, String data) throws SQLException {
        if (update(db, "INSERT INTO feed_claim VALUES (?) ON CONFLICT DO NOTHING", id) == 0) return;
        var before = db.setSavepoint();
        try {
            bill(db, type, data);
        } catch (SQLException error) {
            if (!error.getSQLState().matches("2[23].*")) throw error;
            db.rollback(before);
            keep(db, id, error.toString());
        }
    }

    /** For a person to look at. */
    static void keep(Connection db, String event, String reason) throws SQLException {
        System.err.println("event " + event + " failed: " + reason);
        update(db, KEEP, event, reason);
    }

    /** Claims, effects and the new cursor are one transaction. Another process may have taken the same events. */
    static void take(Connection db) throws Exception {
        db.setAutoCommit(true);
        var cursor = prepare(db, CURSOR, FEED).executeQuery();
        cursor.next();
        var answer = ask(FEED + "?after=" + cursor.getString(1));
        // A NUL in a string is JSON, but no text of PostgreSQL. A backslash before `u0000` that is escaped itself is none.
        var events = answer.body().replace("\\\\", "\\u005c").replace("\\u0000", "\\ufffd");
        long last = cursor.getLong(2);
        db.setAutoCommit(false);
        var event = prepare(db, EVENTS, events).executeQuery();
        while (event.next()) {
            var sequence = event.getLong("sequence"); // as text, "10" would come before "9"
            if (sequence > last + 1) keep(db, last + 1 + " to " + (sequence - 1), "the feed has left it out");
            last = sequence;
            claim(db, event.getString("id"), event.getString("type"), event.getString("data"));
        }
        update(db, MOVE, FEED, answer.headers().firstValue("Feed-Cursor").get(), Long.toString(last));
        db.commit();
    }

    static int update(Connection db, String sql, String... values) throws SQLException {
        try (var statement = prepare(db, sql, values)) {
            return statement.executeUpdate();
        }
    }

    static PreparedStatement prepare(Connection db, String sql, String... values) throws SQLException {
        var statement = db.prepareStatement(sql);
        statement.closeOnCompletion();
        for (int i = 0; i < values.length; i++) statement.setString(i + 1, values[i]);
        return statement;
    }

    public static void main(String[] args) throws InterruptedException {
        if (GIVEN.getQuery() != null) {
            System.err.println("FEED_URL has a query, and this takes the whole feed: write the address without `?` and what follows");
            System.exit(1);
        }
        for (long pause = 500;; pause = Math.min(2 * pause, 30_000)) {
            try (var db = DriverManager.getConnection(System.getenv("DATABASE_URL"))) {
                update(db, SCHEMA);
                for (;; pause = 500) take(db);
            } catch (Exception error) {
                System.err.println(error + "; trying again");
            }
            Thread.sleep(Math.max(pause, 1000 * later));
        }
    }
}
