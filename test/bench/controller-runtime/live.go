package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-sql-driver/mysql"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// questions are what the gate asks before it admits a change by a record: whether object and record are still so at
// the API server, the settings and the versions at the frontend. One after the other, as one writes it: with the client
// that a manager has beside its cache, and with a session to the frontend for each admission, since its login is the
// cluster's.
type questions struct {
	api      client.Client // without a cache
	frontend string
}

func newQuestions(scheme *runtime.Scheme, kubeconfig, frontend string) (*questions, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS = -1 // the API server decides how much is too much
	api, err := client.New(config, client.Options{Scheme: scheme, Mapper: newMapper()})
	return &questions{api, frontend}, err
}

// confirm returns nil where the answers allow what the cache does.
func (q *questions) confirm(ctx context.Context, known *UpgradePreparation, object, old *StarRocksCluster) error {
	var stored StarRocksCluster
	if err := q.api.Get(ctx, client.ObjectKeyFromObject(object), &stored); err != nil {
		return err
	}
	if !sameAsStored(old, &stored) {
		return errors.New("what was sent is not what is stored")
	}
	var record UpgradePreparation
	if err := q.api.Get(ctx, client.ObjectKeyFromObject(known), &record); err != nil {
		return err
	}
	if !prepares(&record, object, old) {
		return errors.New("the upgrade is not prepared")
	}
	return q.askFrontend(ctx, &record)
}

var settingOf = regexp.MustCompile(`(?i)^ADMIN SET FRONTEND CONFIG \("([^"]+)" = "([^"]*)"\)$`)

func (q *questions) askFrontend(ctx context.Context, record *UpgradePreparation) error {
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr = "root", "tcp", q.frontend
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return err
	}
	pool := sql.OpenDB(connector)
	defer pool.Close()
	session, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer session.Close()
	frontends, err := ask(ctx, session, "SHOW FRONTENDS")
	if err != nil {
		return err
	}
	alive := 0
	for _, row := range frontends {
		if row["Alive"] == "true" {
			alive++
		}
	}
	if alive != 1 {
		return fmt.Errorf("%d frontends are alive, and this peer asks one", alive)
	}
	for _, hook := range record.Spec.Hooks {
		setting := settingOf.FindStringSubmatch(hook.SQL)
		if setting == nil {
			return fmt.Errorf("hook %s sets nothing", hook.Name)
		}
		rows, err := ask(ctx, session, `ADMIN SHOW FRONTEND CONFIG LIKE "`+strings.ReplaceAll(setting[1], "_", `\_`)+`"`)
		if err != nil {
			return err
		}
		if len(rows) != 1 || rows[0]["Value"] != setting[2] {
			return fmt.Errorf("%s is not %s any more", setting[1], setting[2])
		}
	}
	nodes := frontends
	for _, statement := range []string{"SHOW BACKENDS", "SHOW COMPUTE NODES"} {
		rows, err := ask(ctx, session, statement)
		if err != nil {
			return err
		}
		nodes = append(nodes, rows...)
	}
	for _, node := range nodes {
		if node["Alive"] == "true" && node["Version"] == "" {
			return errors.New("a node tells no version")
		}
	}
	return nil
}

// ask returns the rows by the names of their columns.
func ask(ctx context.Context, session *sql.Conn, statement string) ([]map[string]string, error) {
	rows, err := session.QueryContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	values := make([]sql.RawBytes, len(columns))
	targets := make([]any, len(columns))
	for i := range values {
		targets[i] = &values[i]
	}
	var out []map[string]string
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return nil, err
		}
		row := make(map[string]string, len(columns))
		for i, name := range columns {
			row[name] = string(values[i])
		}
		out = append(out, row)
	}
	return out, rows.Err()
}
