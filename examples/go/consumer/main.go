// An accountant: a bill for each order in a feed, once, whatever dies.
//
//	DATABASE_URL=postgres://bills@localhost/bills FEED_URL=http://127.0.0.1:8081/feed go run ./consumer
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const schema = `CREATE TABLE IF NOT EXISTS bill (order_id BIGINT NOT NULL, cents BIGINT NOT NULL);
	CREATE TABLE IF NOT EXISTS feed_cursor (feed TEXT PRIMARY KEY, cursor TEXT NOT NULL); CREATE TABLE IF NOT EXISTS feed_claim (event TEXT PRIMARY KEY, failed TEXT)`

var ctx, feed = context.Background(), os.Getenv("FEED_URL")

type event struct {
	ID, Type string
	Data     json.RawMessage
}

// ask gets the events after the cursor, and returns the cursor after them.
func ask(cursor string, events *[]event) (string, error) {
	url := feed + "?after=" + cursor
	request, _ := http.NewRequest("GET", url, nil)
	request.Header = http.Header{"Accept": {"application/cloudevents-batch+json"}, "Prefer": {"wait=20"}}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusGone {
		log.Fatalf("the feed is not the one that was read: %s", url)
	}
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answered %s", url, answer.Status)
	}
	return answer.Header.Get("Feed-Cursor"), json.NewDecoder(answer.Body).Decode(events)
}

// bill is the part that you replace. PostgreSQL refuses what is missing or no number, and has no text with a NUL.
func bill(tx pgx.Tx, event event) (err error) {
	if event.Type == "order.placed" {
		order := "SELECT * FROM jsonb_to_record($1::jsonb) AS data (id BIGINT, cents BIGINT)"
		_, err = tx.Exec(ctx, "INSERT INTO bill "+order, strings.ReplaceAll(string(event.Data), `\u0000`, `\ufffd`))
	}
	return err
}

// take commits claims, effects and the new cursor together. An event that cannot be billed stops no other one.
func take(tx pgx.Tx, events []event, cursor string) error {
	for _, event := range events {
		claimed, err := tx.Exec(ctx, "INSERT INTO feed_claim VALUES ($1) ON CONFLICT DO NOTHING", event.ID)
		if err == nil && claimed.RowsAffected() == 1 {
			if failed := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { return bill(tx, event) }); failed != nil {
				log.Printf("event %s failed: %v", event.ID, failed)
				_, err = tx.Exec(ctx, "UPDATE feed_claim SET failed = $2 WHERE event = $1", event.ID, failed.Error())
			}
		}
		if err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, "INSERT INTO feed_cursor VALUES ($1, $2) ON CONFLICT (feed) DO UPDATE SET cursor = $2", feed, cursor)
	return err
}

func follow(db *pgx.Conn) error {
	_, err := db.Exec(ctx, schema)
	for err == nil {
		cursor, events := "", []event{}
		stored := db.QueryRow(ctx, "SELECT coalesce(min(cursor), 'start') FROM feed_cursor WHERE feed = $1", feed)
		if err = stored.Scan(&cursor); err == nil {
			if cursor, err = ask(cursor, &events); err == nil {
				err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error { return take(tx, events, cursor) })
			}
		}
	}
	return err
}

func main() {
	// The feed does not redirect; who answers elsewhere is another one.
	http.DefaultClient.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for ; ; time.Sleep(time.Second) {
		db, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
		if err == nil {
			err = follow(db)
			db.Close(ctx)
		}
		log.Printf("%v; trying again", err)
	}
}
