// Package transfer owns how a project leaves a store and enters one: as a file of JSON
// lines, which a person can read and make by hand.
//
//	{"latchkey":"project","version":1}
//	{"kind":"project", …}                 its name and settings
//	{"kind":"permission", …}              then what refers to what stands before it
//	{"kind":"role", …}  {"kind":"tenant", …}  {"kind":"user", …}
//	{"kind":"accessKey", …}  {"kind":"template", …}  {"kind":"webhook", …}
//	{"kind":"end","counts":{…}}           so that a file that was cut off is noticed
//
// Sessions, signing keys and secrets of any kind are never in it; of an access key it has
// the digest, which opens nothing, so that the key goes on working after a move. A file is read twice:
// first everything that is wrong with it is found, and nothing is applied when there is
// anything; then each line makes what it names what it says, in small transactions. What
// is like that already isn't written. So an import that was cut off is repeated, and
// repeating it changes nothing but what is missing.
//
// It decides nothing about what it carries: what that may look like is said by the packages
// directory, document and webhook.
package transfer
