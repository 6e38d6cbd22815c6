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
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const schema = `CREATE TABLE IF NOT EXISTS bill (order_id BIGINT NOT NULL, cents BIGINT NOT NULL);
	CREATE TABLE IF NOT EXISTS feed_place (feed TEXT PRIMARY KEY, next TEXT NOT NULL)`

var nextLink = regexp.MustCompile(`<([^>]*)>; *rel="next"`)

type event struct {
	Type string
	Data struct{ ID, Cents int64 }
}

// ask returns the events at this address, and the address after them.
func ask(ctx context.Context, url string) ([]event, string, error) {
	request, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
	request.Header.Set("Accept", "application/cloudevents-batch+json")
	request.Header.Set("Prefer", "wait=20")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusGone {
		log.Fatalf("the feed is not the one that was read: %s", url)
	}
	link := nextLink.FindStringSubmatch(strings.Join(answer.Header["Link"], ", "))
	if answer.StatusCode != http.StatusOK || link == nil {
		return nil, "", fmt.Errorf("%s answered %s", url, answer.Status)
	}
	var events []event
	err = json.NewDecoder(answer.Body).Decode(&events)
	return events, link[1], err
}

// bill is the part that you replace.
func bill(ctx context.Context, tx pgx.Tx, event event) error {
	if event.Type != "order.placed" {
		return nil
	}
	_, err := tx.Exec(ctx, "INSERT INTO bill VALUES ($1, $2)", event.Data.ID, event.Data.Cents)
	return err
}

// take commits effects and the new place in one transaction. Another process may have taken the same events.
func take(ctx context.Context, db *pgx.Conn, feed string) error {
	var url string
	if err := db.QueryRow(ctx, "SELECT next FROM feed_place WHERE feed = $1", feed).Scan(&url); err != nil {
		return err
	}
	events, next, err := ask(ctx, url)
	if err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE feed_place SET next = $1 WHERE feed = $2 AND next = $3", next, feed, url)
		for i := 0; err == nil && tag.RowsAffected() == 1 && i < len(events); i++ {
			err = bill(ctx, tx, events[i])
		}
		return err
	})
}

func follow(ctx context.Context, feed string) error {
	db, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	defer db.Close(ctx)
	if _, err = db.Exec(ctx, schema); err == nil {
		_, err = db.Exec(ctx, "INSERT INTO feed_place VALUES ($1, $2) ON CONFLICT DO NOTHING", feed, feed+"?after=start")
	}
	for err == nil {
		err = take(ctx, db, feed)
	}
	return err
}

func main() {
	for {
		log.Printf("%v; trying again", follow(context.Background(), os.Getenv("FEED_URL")))
		time.Sleep(time.Second)
	}
}
