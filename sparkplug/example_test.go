package sparkplug_test

import (
	"fmt"
	"log"

	"github.com/magneto-iiot/magneto/sparkplug"
)

func Example() {
	topic := sparkplug.Topic{Group: "plant", Type: sparkplug.DDATA, Node: "line1", Device: "press"}
	data := sparkplug.Payload{
		Timestamp: 1_700_000_000_000, HasTimestamp: true, Seq: 7, HasSeq: true,
		Metrics: []sparkplug.Metric{{
			Name:      "Pressure",
			Timestamp: 1_700_000_000_000, HasTimestamp: true,
			Value: sparkplug.Double(2.5),
		}},
	}
	wire, err := data.Append(nil)
	if err != nil {
		log.Fatal(err)
	}

	var got sparkplug.Payload // use it again for the next message
	if err := got.Decode(wire); err != nil {
		log.Fatal(err)
	}
	m := got.Metrics[0]
	fmt.Println(topic, got.Seq, m.Name, m.Value.Type(), m.Value)
	// Output: spBv1.0/plant/DDATA/line1/press 7 Pressure Double 2.5
}

func ExampleValue_As() {
	// DATA messages carry no datatype: what the bytes mean, the birth said.
	wire, _ := (&sparkplug.Payload{Metrics: []sparkplug.Metric{
		{Alias: 3, HasAlias: true, OmitType: true, Value: sparkplug.Int(sparkplug.TypeInt16, -5)},
	}}).Append(nil)

	var p sparkplug.Payload
	if err := p.Decode(wire); err != nil {
		log.Fatal(err)
	}
	v, err := p.Metrics[0].Value.As(sparkplug.TypeInt16)
	fmt.Println(v.Int(), err)
	_, err = p.Metrics[0].Value.As(sparkplug.TypeString)
	fmt.Println(err)
	// Output:
	// -5 <nil>
	// sparkplug: value as String: int_value 4294967291 does not fit
}

func ExampleParseJSON() {
	v, err := sparkplug.ParseJSON(sparkplug.TypeUInt8, []byte("300"))
	fmt.Println(v, err)
	v, err = sparkplug.ParseJSON(sparkplug.TypeDateTime, []byte(`"2026-01-02T03:04:05Z"`))
	fmt.Println(string(sparkplug.AppendJSON(nil, v)), err)
	// Output:
	// null sparkplug: UInt8: 300 is out of range, 0 to 255
	// "1767323045000" <nil>
}

func ExampleState() {
	s := sparkplug.State{Online: true, Timestamp: 1_700_000_000_000}
	fmt.Printf("%s %s\n", sparkplug.StateTopic("plant"), s.Append(nil))
	// Output: spBv1.0/STATE/plant {"online":true,"timestamp":1700000000000}
}

func ExampleArrayOf() {
	v := sparkplug.ArrayOf([]int16{1, -2, 3})
	elems, err := v.AppendElements(nil)
	fmt.Println(v.Type(), v, len(elems), err)
	// Output: Int16Array [1 -2 3] 3 <nil>
}
