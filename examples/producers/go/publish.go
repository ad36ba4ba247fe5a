// Publishes one event. Usage: POSTRIDER_KEY=prk_… go run . EVENT-TYPE JSON IDEMPOTENCY-KEY
package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

const tries = 6

var client = http.Client{Timeout: 10 * time.Second}

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// send makes one request. It returns how long to wait before the next one, or 0 if that would not help.
func send(eventType, payload, idempotencyKey string) (answer string, wait time.Duration, err error) {
	url := setting("POSTRIDER_API", "http://localhost:8000") + "/events"
	request, err := http.NewRequest(http.MethodPost, url, strings.NewReader(payload))
	if err != nil {
		return "", 0, err
	}
	request.Header.Set("Authorization", "Bearer "+setting("POSTRIDER_KEY", "none"))
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Event-Type", eventType)
	request.Header.Set("Idempotency-Key", idempotencyKey)
	response, err := client.Do(request)
	if err != nil {
		// No response. The key makes it safe to repeat.
		return "", time.Millisecond, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "", time.Millisecond, err
	}
	if response.StatusCode < 300 {
		return string(body), 0, nil
	}
	err = errors.New(response.Status + ": " + string(body))
	// Below 500 the request is wrong, except 429: too many events in this second.
	if response.StatusCode < 500 && response.StatusCode != http.StatusTooManyRequests {
		return "", 0, err
	}
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
	return "", time.Duration(seconds)*time.Second + time.Millisecond, err
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: publish EVENT-TYPE JSON IDEMPOTENCY-KEY")
		os.Exit(2)
	}
	backoff := 200 * time.Millisecond
	for attempt := 1; ; attempt++ {
		answer, wait, err := send(os.Args[1], os.Args[2], os.Args[3])
		if err == nil {
			fmt.Println(answer)
			return
		}
		if wait == 0 || attempt == tries {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		time.Sleep(wait + backoff)
		backoff *= 2
	}
}
