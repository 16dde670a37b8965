// The module file of the tests with Project Wycheproof's vectors (-tags wycheproof).
// Theirs asks for a newer Go than the product needs.
module github.com/latchkey-dev/latchkey

go 1.26.4

require github.com/c2sp/wycheproof v0.0.0-20260902155932-3fa63dd0344a

require (
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/standard-webhooks/standard-webhooks/libraries v0.0.1
	github.com/tmaxmax/go-sse v0.11.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
