// An accountant: a bill for each order in a feed, once, whatever dies.
//
// DATABASE_URL='jdbc:postgresql://localhost/bills?user=bills' FEED_URL=http://127.0.0.1:8081/feed \
//     java -cp postgresql.jar Consumer.java

import java.net.URI;
import java.net.http.*;
import java.sql.*;
import java.util.concurrent.TimeUnit;

class Consumer {
    static final String FEED = System.getenv("FEED_URL");
    static final HttpClient HTTP = HttpClient.newHttpClient();
    static final String SCHEMA = """
        CREATE TABLE IF NOT EXISTS bill (order_id BIGINT NOT NULL, cents BIGINT NOT NULL);
        CREATE TABLE IF NOT EXISTS feed_cursor (feed TEXT PRIMARY KEY, cursor TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS feed_claim (event TEXT PRIMARY KEY, failed TEXT)""";
    static final String CURSOR = "SELECT coalesce(min(cursor), 'start') FROM feed_cursor WHERE feed = ?";
    static final String MOVE = "INSERT INTO feed_cursor VALUES (?, ?) ON CONFLICT (feed) DO UPDATE SET cursor = excluded.cursor";
    // PostgreSQL reads the JSON, since the JDK cannot.
    static final String EVENTS = """
        SELECT event ->> 'id' AS id, event ->> 'type' AS type, event -> 'data' AS data
        FROM jsonb_array_elements(?::jsonb) WITH ORDINALITY AS batch (event, place) ORDER BY place""";

    /** Returns the events at this address. Follows no redirect: who answers elsewhere is another feed. */
    static HttpResponse<String> ask(String url) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(url))
            .headers("Accept", "application/cloudevents-batch+json", "Prefer", "wait=20").build();
        var answer = HTTP.sendAsync(request, HttpResponse.BodyHandlers.ofString()).get(60, TimeUnit.SECONDS);
        if (answer.statusCode() == 410) {
            System.err.println("the feed is not the one that was read: " + answer.body());
            System.exit(1);
        }
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
            System.err.println("event " + id + " failed: " + error);
            db.rollback(before);
            update(db, "UPDATE feed_claim SET failed = ? WHERE event = ?", error.toString(), id);
        }
    }

    /** Claims, effects and the new cursor are one transaction. Another process may have taken the same events. */
    static void take(Connection db) throws Exception {
        db.setAutoCommit(true);
        var cursor = prepare(db, CURSOR, FEED).executeQuery();
        cursor.next();
        var answer = ask(FEED + "?after=" + cursor.getString(1));
        // A NUL in a string is JSON, but no text of PostgreSQL.
        var events = answer.body().replace("\\u0000", "\\ufffd");
        db.setAutoCommit(false);
        var event = prepare(db, EVENTS, events).executeQuery();
        while (event.next()) {
            claim(db, event.getString("id"), event.getString("type"), event.getString("data"));
        }
        update(db, MOVE, FEED, answer.headers().firstValue("Feed-Cursor").get());
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
        for (long pause = 500;; pause = Math.min(2 * pause, 30_000)) {
            try (var db = DriverManager.getConnection(System.getenv("DATABASE_URL"))) {
                update(db, SCHEMA);
                for (;; pause = 500) take(db);
            } catch (Exception error) {
                System.err.println(error + "; trying again");
            }
            Thread.sleep(pause);
        }
    }
}
