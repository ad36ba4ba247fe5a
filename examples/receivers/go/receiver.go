// A receiver: verifies each delivery, drops what it has seen, answers before it works.
// go mod tidy && WEBHOOK_SECRET=whsec_… go run .
package main

import (
	"io"
	"log"
	"net/http"
	"os"
	"sync"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const maxBody = 1 << 20

type event struct {
	id, kind string
	body     []byte
}

func main() {
	webhook, err := standardwebhooks.NewWebhook(os.Getenv("WEBHOOK_SECRET"))
	if err != nil {
		log.Fatal(err)
	}
	// In production both are one table of your database with a unique webhook_id: insert the
	// event there, answer, and let a worker read the table. Memory forgets at a restart.
	var seen sync.Map
	inbox := make(chan event, 1024)
	go work(inbox)

	receive := func(response http.ResponseWriter, request *http.Request) {
		// The bytes as they came: never decode and encode them first.
		body, err := io.ReadAll(http.MaxBytesReader(response, request.Body, maxBody))
		if err != nil {
			http.Error(response, "body too large or cut off", http.StatusRequestEntityTooLarge)
			return
		}
		id := request.Header.Get("webhook-id")
		if err := webhook.Verify(body, request.Header); err != nil {
			log.Printf("refused %s: %v", id, err)
			response.WriteHeader(http.StatusUnauthorized)
			return
		}
		if _, isOld := seen.LoadOrStore(id, true); isOld {
			log.Printf("duplicate %s", id)
		} else {
			inbox <- event{id, request.Header.Get("x-event-type"), body}
		}
		response.WriteHeader(http.StatusNoContent)
	}

	port := os.Getenv("PORT")
	if port == "" {
		port = "9100"
	}
	log.Printf("listening on %s", port)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+port, http.HandlerFunc(receive)))
}

func work(inbox <-chan event) {
	for event := range inbox {
		log.Printf("accepted %s %s %s", event.id, event.kind, event.body)
	}
}
