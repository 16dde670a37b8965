// Package bench compares the SDK's verification of session tokens with other libraries
// and with the bare signature check, which nothing can be faster than without a cache.
// It is a module of its own, so that what it compares with is no dependency of the
// product.
//
//	cd bench && go test -run '^$' -bench . -benchmem
package bench
