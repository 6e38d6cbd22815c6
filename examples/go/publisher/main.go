// A shop: each order is a row, and an event in the same transaction.
//
//	DATABASE_URL=postgres://shop@localhost/shop go run ./publisher 1 100
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"strconv"

	"github.com/jackc/pgx/v5"
)

// place commits both, or neither. The order is new only once, however often this is called.
func place(ctx context.Context, db *pgx.Conn, order, cents int64) error {
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "INSERT INTO purchase (id, cents) VALUES ($1, $2) ON CONFLICT DO NOTHING", order, cents)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		data, err := json.Marshal(map[string]int64{"id": order, "cents": cents})
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "INSERT INTO feed_outbox (event_type, subject, data) VALUES ('order.placed', $1, $2)",
			fmt.Sprintf("order/%d", order), string(data))
		return err
	})
}

func run(ctx context.Context, first, last int64) error {
	db, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	if _, err := db.Exec(ctx, "CREATE TABLE IF NOT EXISTS purchase (id BIGINT PRIMARY KEY, cents BIGINT NOT NULL)"); err != nil {
		return err
	}
	for order := first; order <= last; order++ {
		if err := place(ctx, db, order, 100*order); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	first, err := strconv.ParseInt(os.Args[1], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	last, err := strconv.ParseInt(os.Args[2], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	if err := run(context.Background(), first, last); err != nil {
		log.Fatal(err)
	}
}
