package hostapp

import (
	_ "embed"
	"net/http"
)

//go:embed openapi.json
var openAPI []byte

// OpenAPI is the description of the REST API, an OpenAPI 3.1 document in JSON.
// The caller must not change it.
func OpenAPI() []byte { return openAPI }

func getOpenAPI(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPI) // the client has left
	return nil
}
