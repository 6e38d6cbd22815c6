// A shop: each order is a row, and an event in the same transaction.
//
// DATABASE_URL='jdbc:postgresql://localhost/shop?user=shop' java -cp postgresql.jar Publisher.java 1 100

import java.sql.*;

class Publisher {
    /** Both are there, or neither. The order is new only once, however often this is called. */
    static void place(Connection db, long order, long cents) throws SQLException {
        try {
            if (update(db, "INSERT INTO purchase (id, cents) VALUES (?, ?) ON CONFLICT DO NOTHING", order, cents) == 1) {
                update(db, """
                    INSERT INTO feed_outbox (event_type, subject, data) VALUES ('order.placed', ?,
                    json_build_object('id', ?, 'cents', ?)::text)""", "order/" + order, order, cents);
            }
            db.commit();
        } catch (SQLException | RuntimeException error) {
            // Or the next order would commit this one.
            try {
                db.rollback();
            } catch (SQLException another) {
                error.addSuppressed(another);
            }
            throw error;
        }
    }

    static int update(Connection db, String sql, Object... values) throws SQLException {
        try (var statement = db.prepareStatement(sql)) {
            for (int i = 0; i < values.length; i++) {
                statement.setObject(i + 1, values[i]);
            }
            return statement.executeUpdate();
        }
    }

    public static void main(String[] args) throws SQLException {
        try (var db = DriverManager.getConnection(System.getenv("DATABASE_URL"))) {
            db.setAutoCommit(false);
            update(db, "CREATE TABLE IF NOT EXISTS purchase (id BIGINT PRIMARY KEY, cents BIGINT NOT NULL)");
            for (long order = Long.parseLong(args[0]); order <= Long.parseLong(args[1]); order++) {
                place(db, order, 100 * order);
            }
        }
    }
}
