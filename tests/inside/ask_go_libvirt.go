// Asks the libvirt socket at the path given with go-libvirt, and prints what it says of all domains as JSON.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"

	"github.com/digitalocean/go-libvirt"
)

type domain struct {
	Name  string
	UUID  string
	ID    int32
	State int32
	Stats map[string]interface{}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	conn, err := net.Dial("unix", os.Args[1])
	must(err)
	host := libvirt.New(conn)
	must(host.Connect())
	domains, _, err := host.ConnectListAllDomains(1, 0)
	must(err)
	records, err := host.ConnectGetAllDomainStats(nil, 0, 0)
	must(err)
	stats := map[string]map[string]interface{}{}
	for _, record := range records {
		values := map[string]interface{}{}
		for _, param := range record.Params {
			values[param.Field] = param.Value.I
		}
		stats[record.Dom.Name] = values
	}
	found := []domain{}
	for _, each := range domains {
		state, _, err := host.DomainGetState(each, 0)
		must(err)
		found = append(found, domain{each.Name, fmt.Sprintf("%x", each.UUID), each.ID, state, stats[each.Name]})
	}
	must(json.NewEncoder(os.Stdout).Encode(found))
	must(host.Disconnect())
}
