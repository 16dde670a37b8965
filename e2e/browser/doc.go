// Package browser owns the tests that need a real browser: they drive Chromium against
// sites of their own and the latchkey binary, and ask the browser what it keeps, sends
// and refuses.
//
// What a cookie's text says is tested where it is written. Here is only what no Go
// program can know: what a browser makes of it.
//
// It is a module of its own, so that what drives the browser is no dependency of the
// product.
package browser
