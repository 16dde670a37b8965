package native

// examples are request bodies that work, for the document and the page.
var examples = map[string]string{
	"refreshSession":      `{"refreshToken":"rt_…"}`,
	"acknowledgeRefresh":  `{"refreshToken":"rt_…"}`,
	"logout":              `{"refreshToken":"rt_…"}`,
	"logoutOthers":        `{"refreshToken":"rt_…"}`,
	"logoutAll":           `{"refreshToken":"rt_…"}`,
	"createSession":       `{"user":"alice@example.com","amr":["pwd","totp"],"claims":{"plan":"pro"}}`,
	"changeSessionClaims": `{"claims":{"plan":"team","trial":null}}`,
	"revokeSessions":      `{"ip":"192.0.2.0/24","dryRun":true}`,
	"createUser":          `{"loginIds":["alice@example.com"],"name":"Alice"}`,
	"changeUser":          `{"status":"disabled"}`,
	"changeSettings":      `{"sessionTokenTTL":"5m","idleTimeout":"7d","onLimit":null}`,
	"changeProject":       `{"status":"disabled"}`,
	"deleteProject":       `{"confirm":"prj_…"}`,
	"rotateKey":           `{"immediate":false}`,
	"createManagementKey": `{"name":"support desk","scopes":["sessions","events"],"networks":["192.0.2.0/24"]}`,
}
