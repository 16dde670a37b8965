module github.com/latchkey-dev/latchkey/e2e/browser

go 1.26.0

replace github.com/latchkey-dev/latchkey => ../..

require (
	github.com/alexedwards/scs/v2 v2.9.0
	github.com/chromedp/cdproto v0.159.0
	github.com/chromedp/chromedp v0.23.0
	github.com/latchkey-dev/latchkey v0.0.0
)

require github.com/go-json-experiment/json v0.0.0-20260213210345-44df1a37e875 // indirect
