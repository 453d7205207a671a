package hostapp_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/magneto-iiot/magneto/hostapp"
)

var contract = sync.OnceValues(func() (routers.Router, error) {
	doc, err := openapi3.NewLoader().LoadFromData(hostapp.OpenAPI())
	if err != nil {
		return nil, err
	}
	return legacy.NewRouter(doc)
})

func TestOpenAPILoads(t *testing.T) {
	_, err := contract()
	must(t, err)
}

// checkContract compares an answer with the OpenAPI description. Paths that it
// does not describe, such as the page, are left alone; so are requests that
// are wrong on purpose.
func checkContract(t *testing.T, r *http.Request, body string, w *httptest.ResponseRecorder) {
	t.Helper()
	router, err := contract()
	must(t, err)
	if _, rest, ok := strings.Cut(r.URL.EscapedPath(), "/metrics/"); ok && strings.Contains(rest, "/") {
		return // a name whose slashes are not encoded is served all the same
	}
	route, params, err := router.FindRoute(r)
	if err != nil {
		return
	}
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route}
	out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: w.Code, Header: w.Header()}
	out.SetBodyBytes(w.Body.Bytes())
	out.Options = &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true}
	if err := openapi3filter.ValidateResponse(t.Context(), out); err != nil && !strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream") {
		t.Errorf("%s %s %s: the answer is not what openapi.json says: %v\n%s", r.Method, r.URL, body, err, w.Body)
	}
	_, _ = io.Copy(io.Discard, r.Body)
}
