// An accountant: a bill for each order in a feed, once, whatever dies.
//
//	DATABASE_URL=postgres://bills@localhost/bills FEED_URL=http://127.0.0.1:8081/feed go run ./consumer
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const schema = `CREATE TABLE IF NOT EXISTS bill (order_id BIGINT NOT NULL, cents BIGINT NOT NULL);
	CREATE TABLE IF NOT EXISTS feed_cursor (feed TEXT PRIMARY KEY, cursor TEXT NOT NULL, sequence BIGINT NOT NULL);
	CREATE TABLE IF NOT EXISTS feed_claim (event TEXT PRIMARY KEY, failed TEXT)`

var (
	ctx          = context.Background()
	source, feed string                       // FEED_URL, whose user and password are sent; and the same without them, which is stored and logged
	pause, later = time.Second / 2, uint64(0) // before the next attempt; and what the feed asks for, in seconds
	// A NUL in a string is JSON, but no text of PostgreSQL. A backslash before `u0000` that is escaped itself is none.
	storable = strings.NewReplacer(`\\`, `\\`, `\u0000`, `\ufffd`)
	// For a whole answer, of up to 8 MiB by a slow connection. The feed does not redirect; who answers elsewhere is another one.
	client = http.Client{Timeout: 10 * time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
)

type event struct {
	ID, Type string
	Sequence int64 `json:",string"` // as text, "10" would come before "9"
	Data     json.RawMessage
}

// ask gets the events after the cursor, and returns the cursor after them.
func ask(cursor string, events *[]event) (string, error) {
	request, _ := http.NewRequest("GET", source+"?after="+cursor, nil)
	request.Header = http.Header{"Accept": {"application/cloudevents-batch+json"}, "Prefer": {"wait=20"}}
	answer, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	later, _ = strconv.ParseUint(answer.Header.Get("Retry-After"), 10, 12)
	if answer.StatusCode == http.StatusGone {
		log.Fatalf("the feed is not the one that was read: %s", feed)
	}
	if cursor = answer.Header.Get("Feed-Cursor"); answer.StatusCode != http.StatusOK || cursor == "" {
		return "", fmt.Errorf("%s answered %s, with the cursor %q", feed, answer.Status, cursor)
	}
	return cursor, json.NewDecoder(answer.Body).Decode(events)
}

// bill is the part that you replace. PostgreSQL refuses what is missing or no number.
func bill(tx pgx.Tx, event event) (err error) {
	if event.Type == "order.placed" {
		order := "INSERT INTO bill SELECT * FROM jsonb_to_record($1::jsonb) AS data (id BIGINT, cents BIGINT)"
		_, err = tx.Exec(ctx, order, storable.Replace(string(event.Data)))
	}
	return err
}

// aboutData is true if the data is what fails: PostgreSQL (SQLSTATE 22 and 23) or Go refuses it. Anything else may pass.
func aboutData(err error) bool {
	refused, other := new(pgconn.PgError), new(json.UnmarshalTypeError)
	return errors.As(err, &other) || errors.As(err, &refused) && (refused.Code[:2] == "22" || refused.Code[:2] == "23")
}

// keep is for a person to look at.
func keep(tx pgx.Tx, event, reason string) error {
	log.Printf("event %s failed: %s", event, reason)
	_, err := tx.Exec(ctx, "INSERT INTO feed_claim VALUES ($1, $2) ON CONFLICT (event) DO UPDATE SET failed = $2", event, reason)
	return err
}

// take commits claims, effects and the new cursor together. An event that cannot be billed stops no other one.
func take(tx pgx.Tx, events []event, cursor string, last int64) error {
	for _, event := range events {
		if event.Sequence > last+1 {
			if err := keep(tx, fmt.Sprintf("%d to %d", last+1, event.Sequence-1), "the feed has left it out"); err != nil {
				return err
			}
		}
		last = event.Sequence
		claimed, err := tx.Exec(ctx, "INSERT INTO feed_claim VALUES ($1) ON CONFLICT DO NOTHING", event.ID)
		if err == nil && claimed.RowsAffected() == 1 {
			if err = pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { return bill(tx, event) }); aboutData(err) {
				err = keep(tx, event.ID, err.Error())
			}
		}
		if err != nil {
			return err
		}
	}
	move := "INSERT INTO feed_cursor VALUES ($1, $2, $3) ON CONFLICT (feed) DO UPDATE SET cursor = $2, sequence = $3"
	_, err := tx.Exec(ctx, move, feed, cursor, last)
	pause = time.Second / 2
	return err
}

func follow(db *pgx.Conn) error {
	_, err := db.Exec(ctx, schema)
	for err == nil {
		cursor, last, events := "", int64(0), []event{}
		stored := "SELECT coalesce(min(cursor), 'start'), coalesce(min(sequence), 0) FROM feed_cursor WHERE feed = $1"
		if err = db.QueryRow(ctx, stored, feed).Scan(&cursor, &last); err == nil {
			if cursor, err = ask(cursor, &events); err == nil {
				err = pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error { return take(tx, events, cursor, last) })
			}
		}
	}
	return err
}

func main() {
	address, err := url.Parse(os.Getenv("FEED_URL"))
	if err != nil || address.RawQuery != "" {
		log.Fatal("FEED_URL is no URL or has a query, and this takes the whole feed: write the address without `?` and what follows")
	}
	source, address.User = address.String(), nil
	feed = address.String()
	for ; ; pause, later = min(2*pause, 30*time.Second), 0 {
		db, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
		if err == nil {
			err = follow(db)
			db.Close(ctx)
		}
		log.Printf("%v; trying again", err)
		time.Sleep(max(pause, time.Duration(later)*time.Second))
	}
}
