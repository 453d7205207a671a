package exam

import (
	"fmt"

	"github.com/magneto-iiot/magneto/sparkplug"
	"github.com/magneto-iiot/magneto/sparkplug/conform"
)

// hostLeaves is the second half of the kit's primary host script.
func (x *edge) hostLeaves() error {
	if x.c.Host == "" {
		return nil
	}
	x.say("the primary host goes offline")
	mark := x.mark()
	if err := x.host(0, false, x.tick()); err != nil {
		return err
	}
	x.judge(x.left(0, mark), fmt.Sprintf("no NDEATH and end of the connection within %v of an offline STATE", prompt),
		"message-flow-edge-node-birth-publish-phid-offline", "operational-behavior-edge-node-termination-host-offline")
	_, ok := x.await(mark, patient, x.own(0, conform.Connect))
	x.judge(ok, fmt.Sprintf("no new connection within %v of an offline STATE", patient), "operational-behavior-edge-node-termination-host-offline-reconnect")
	if _, again := x.await(mark, patient, x.asks(0)); !ok || !again {
		return nil
	}
	mark = x.mark()
	if err := x.state(0, x.c.Host, true, x.clock-500, false); err != nil {
		return err
	}
	x.judge(x.never(mark, quiet, x.sent(0, sparkplug.NBIRTH)), "it is born upon an online STATE older than the offline one",
		"message-flow-edge-node-birth-publish-phid-wait-timestamp")
	return x.welcome(0, x.tick(), "a new online STATE")
}

// left says whether the edge node has died and closed its connection.
func (x *edge) left(server, mark int) bool {
	_, dead := x.await(mark, prompt, func(e conform.Event) bool {
		t, err := sparkplug.ParseTopic(e.Message.Topic)
		return e.Server == server && (e.Kind == conform.Publish || e.Kind == conform.Will) && err == nil && x.is(sparkplug.NDEATH)(t)
	})
	_, gone := x.await(mark, prompt, x.own(server, conform.Closed))
	return dead && gone
}

// stop has the edge node leave in good order.
func (x *edge) stop() error {
	if x.c.Hands.Stop == nil {
		return nil
	}
	x.say("stop the edge node in good order")
	mark := x.mark()
	if err := x.c.Hands.Stop(x.ctx); err != nil {
		return err
	}
	_, gone := x.await(mark, patient, x.own(0, conform.Closed))
	dead := x.count(mark, x.sent(0, sparkplug.NDEATH)) + x.count(mark, x.own(0, conform.Disconnect))
	if !gone || dead == 0 {
		x.judge(false, "it stops without NDEATH or DISCONNECT", "operational-behavior-edge-node-intentional-disconnect-ndeath")
	}
	return nil
}

// kill ends the edge node without a word; its will must speak, and the next
// session has the next bdSeq.
func (x *edge) kill() error {
	if x.c.Hands.Stop == nil || x.c.Hands.Kill == nil {
		return nil
	}
	x.say("start the edge node again")
	mark := x.mark()
	if err := x.c.Hands.Start(x.ctx, x.urls(1)); err != nil {
		return err
	}
	if _, ok := x.await(mark, starting, x.sent(0, sparkplug.NBIRTH)); !ok {
		return fmt.Errorf("%w: not born again within %v", ErrSilent, starting)
	}
	x.settle(0, mark)
	x.say("kill the edge node")
	mark = x.mark()
	if err := x.c.Hands.Kill(x.ctx); err != nil {
		return err
	}
	_, ok := x.await(mark, patient, x.own(0, conform.Will))
	x.judge(ok, "its will was not published", "payloads-ndeath-will-message", "message-flow-edge-node-birth-publish-will-message")
	return nil
}

// walk is the kit's script of two servers.
func (x *edge) walk() error {
	if x.c.Host == "" || len(x.servers) < 2 || x.c.Hands.Kill == nil && x.c.Hands.Stop == nil {
		return nil
	}
	x.say("start the edge node with both servers")
	if err := x.host(0, true, x.tick()); err != nil {
		return err
	}
	mark := x.mark()
	if err := x.c.Hands.Start(x.ctx, x.urls(2)); err != nil {
		return err
	}
	if _, ok := x.await(mark, starting, x.sent(0, sparkplug.NBIRTH)); !ok {
		return fmt.Errorf("%w: not born on the first of two servers within %v", ErrSilent, starting)
	}
	x.settle(0, mark)
	if err := x.host(1, true, x.tick()); err != nil {
		return err
	}
	mark = x.mark()
	if err := x.host(0, false, x.tick()); err != nil {
		return err
	}
	_, ok := x.await(mark, prompt, x.sent(1, sparkplug.NBIRTH))
	x.judge(ok, fmt.Sprintf("no NBIRTH on the second server within %v of an offline STATE on the first", prompt),
		"operational-behavior-primary-application-state-with-multiple-servers-walk", "operational-behavior-edge-node-termination-host-offline-reconnect")
	if !ok {
		return nil
	}
	x.settle(1, mark)
	mark = x.mark()
	if err := x.host(0, true, x.tick()); err != nil {
		return err
	}
	x.judge(x.never(mark, 2*quiet, x.sent(0, sparkplug.NBIRTH)), "it is born on the first server while its host is online on the second",
		"operational-behavior-primary-application-state-with-multiple-servers-single-server")
	if x.c.Hands.Stop == nil {
		return x.c.Hands.Kill(x.ctx)
	}
	return x.c.Hands.Stop(x.ctx)
}
