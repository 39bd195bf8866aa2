package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sgadvise/sgadvise/cmd/config"
)

// configured is what a command was told besides its flags.
type configured struct {
	file   string // "" for none
	values []config.Value
}

type configuredKey struct{}

// configuration returns what cmd was told.
func configuration(cmd *cobra.Command) configured {
	c, _ := cmd.Context().Value(configuredKey{}).(configured)
	return c
}

// addConfig gives --config to every command below root that has settings.
func addConfig(root *cobra.Command) {
	for _, c := range root.Commands() {
		addConfig(c)
		if config.Takes(c.Name(), c.Flags()) {
			c.Flags().String("config", "", "configuration file (default: the nearest "+config.FileName+" upwards, then the user's; none: no file)")
		}
	}
}

// configure sets the flags that are not on the command line from the environment and
// the configuration file.
func configure(cmd *cobra.Command, s streams) error {
	flag := cmd.Flags().Lookup("config")
	if flag == nil {
		return nil
	}
	name, err := configFile(flag.Value.String())
	if err != nil {
		return err
	}
	c := configured{file: name}
	var file *config.File
	if name != "" {
		body, err := os.ReadFile(name)
		if err != nil {
			return &exitError{code: exitUsage, cause: namedPath(err), hint: "--config names the file; --config none does without"}
		}
		if file, err = config.Parse(name, body); err != nil {
			return &exitError{code: exitUsage, cause: err}
		}
	}
	c.values, err = config.Apply(cmd.Name(), cmd.Flags(), file, os.Getenv)
	if err != nil {
		return &exitError{code: exitUsage, cause: err}
	}
	cmd.SetContext(context.WithValue(cmd.Context(), configuredKey{}, c))
	if cmd.Name() != "doctor" && !c.quiet() {
		for _, name := range config.Unknown(os.Environ()) {
			fmt.Fprintf(s.err, "sgadvise: warning: %s in the environment is no setting\n", name)
		}
	}
	told := flag.Changed || cmd.Name() == "doctor" // which says more of it
	if !told && c.uses(config.FromFile) && !c.quiet() {
		fmt.Fprintf(s.err, "sgadvise: settings of %s\n", name)
	}
	return nil
}

// uses reports whether a value comes from there.
func (c *configured) uses(from string) bool {
	for i := range c.values {
		if c.values[i].From == from {
			return true
		}
	}
	return false
}

func (c *configured) quiet() bool {
	for i := range c.values {
		if c.values[i].Name == "quiet" {
			return c.values[i].Text() == "true"
		}
	}
	return false
}

// configFile returns the name of the file to read, given what --config says.
func configFile(said string) (string, error) {
	if said == "" {
		said = os.Getenv(config.FileVariable)
	}
	if said == config.None {
		return "", nil
	}
	if said != "" {
		return said, nil
	}
	folder, err := os.Getwd()
	if err != nil {
		return "", err
	}
	name, err := config.Find(folder, os.Getenv, func(path string) (bool, error) {
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) || err == nil && info.IsDir() {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil || name == "" {
		return "", err
	}
	// Upwards from here the short name says more, and so do the paths in the reports.
	if dir := filepath.Dir(name); dir == folder || strings.HasPrefix(folder, strings.TrimSuffix(dir, "/")+string(filepath.Separator)) {
		return filepath.Rel(folder, name)
	}
	return name, nil
}

// reworded gives a complaint about a flag the place where its value was said.
func reworded(err error, ran *cobra.Command) error {
	if err == nil || ran == nil || ran.Context() == nil {
		return err
	}
	code, hint := codeOf(err)
	if code != exitUsage {
		return err
	}
	text := err.Error()
	if better := config.Reword(text, configuration(ran).values); better != text {
		return &exitError{code: code, cause: errors.New(better), hint: hint}
	}
	return err
}
