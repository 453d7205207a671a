package sparkplugpb_test

import (
	"fmt"
	"log"

	"github.com/magneto-iiot/magneto/proto/sparkplugpb"
	"google.golang.org/protobuf/proto"
)

func Example() {
	b, err := proto.Marshal(&sparkplugpb.Payload{
		Seq: new(uint64(7)),
		Metrics: []*sparkplugpb.Payload_Metric{{
			Name:  new("Pressure"),
			Value: &sparkplugpb.Payload_Metric_DoubleValue{DoubleValue: 2.5},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	var p sparkplugpb.Payload
	if err := proto.Unmarshal(b, &p); err != nil {
		log.Fatal(err)
	}
	fmt.Println(p.GetSeq(), p.Metrics[0].GetName(), p.Metrics[0].GetDoubleValue())
	// Output: 7 Pressure 2.5
}
