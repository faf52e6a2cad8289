package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// NoServerError says that no PostgreSQL could be had, and why not for each rung of the ladder.
type NoServerError struct {
	Tried []Attempt
}

// Attempt is one rung and the reason why it did not hold.
type Attempt struct {
	Rung string
	Err  error
}

func (e *NoServerError) add(rung string, err error) {
	e.Tried = append(e.Tried, Attempt{rung, err})
}

func (e *NoServerError) Error() string {
	var b strings.Builder
	b.WriteString("no PostgreSQL could be started:")
	for _, a := range e.Tried {
		fmt.Fprintf(&b, "\n  - %s: %v", a.Rung, a.Err)
	}
	b.WriteString("\nWhat would help: scripts/setup postgres   (or set DAOBANK_POSTGRES to the URL of a running server)")
	return b.String()
}

// Unwrap gives errors.Is and errors.As the reason of each rung.
func (e *NoServerError) Unwrap() []error {
	errs := make([]error, len(e.Tried))
	for i, a := range e.Tried {
		errs[i] = a.Err
	}
	return errs
}

// programs is a folder that holds initdb and postgres.
type programs struct {
	dir      string
	version  string
	major    int
	unpacked string // the folder to take along if the server's user cannot enter dir; "" for installed programs
}

// findPrograms returns what can be used, installed ones first, the newest first, and why the others cannot.
func findPrograms(ctx context.Context) (found []programs, missing []Attempt) {
	const installed = "installed programs"
	seen := map[string]bool{}
	for _, dir := range installedDirs(ctx) {
		if seen[dir] {
			continue
		}
		seen[dir] = true
		p, err := inspect(ctx, dir)
		if err != nil {
			missing = append(missing, Attempt{installed, err})
			continue
		}
		found = append(found, p)
	}
	slices.SortStableFunc(found, func(a, b programs) int { return cmp.Compare(b.major, a.major) })
	if len(found)+len(missing) == 0 {
		err := errors.New("neither PATH nor pg_config nor /usr/lib/postgresql leads to initdb and postgres")
		missing = append(missing, Attempt{installed, err})
	}

	tools, err := toolsDir()
	if err != nil {
		return found, append(missing, Attempt{".tools/postgres", err})
	}
	home := filepath.Join(tools, "postgres")
	p, err := inspect(ctx, filepath.Join(home, "bin"))
	if err != nil {
		return found, append(missing, Attempt{".tools/postgres", err})
	}
	p.unpacked = home
	return append(found, p), missing
}

// installedDirs lists the folders where initdb may be installed.
func installedDirs(ctx context.Context) []string {
	var dirs []string
	if path, err := exec.LookPath("initdb"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(real))
		}
	}
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"} {
		matches, _ := filepath.Glob(pattern) // the patterns are well formed
		dirs = append(dirs, matches...)
	}
	return slices.DeleteFunc(dirs, func(dir string) bool {
		_, err := os.Stat(filepath.Join(dir, "initdb"))
		return err != nil
	})
}

var statedVersion = regexp.MustCompile(`\(PostgreSQL\) ((\d+)[.\d]*)`)

// inspect asks the programs in a folder for their version.
func inspect(ctx context.Context, dir string) (programs, error) {
	p := programs{dir: dir}
	for _, name := range []string{"initdb", "postgres"} {
		out, err := exec.CommandContext(ctx, filepath.Join(dir, name), "--version").Output()
		if err != nil {
			return p, fmt.Errorf("no usable %s in %s: %w", name, dir, err)
		}
		m := statedVersion.FindStringSubmatch(string(out))
		if m == nil {
			return p, fmt.Errorf("%s/%s does not state its version", dir, name)
		}
		p.version = m[1]
		p.major, _ = strconv.Atoi(m[2]) // digits
	}
	if p.major < oldestMajor {
		return p, fmt.Errorf("%s is version %s; %d or newer is needed", dir, p.version, oldestMajor)
	}
	return p, nil
}

// matching keeps the programs that can run the cluster already kept in a folder; all, if there is none yet.
func matching(found []programs, dir string) []programs {
	kept, err := os.ReadFile(filepath.Join(dir, "data", "PG_VERSION"))
	if err != nil {
		return found
	}
	major := strings.TrimSpace(string(kept))
	return slices.DeleteFunc(found, func(p programs) bool { return strconv.Itoa(p.major) != major })
}

// toolsDir is where scripts/setup unpacks: DAOBANK_TOOLS, or .tools beside the go.mod above the working directory
// or above this program.
func toolsDir() (string, error) {
	if dir := os.Getenv("DAOBANK_TOOLS"); dir != "" {
		return filepath.Abs(dir)
	}
	var starts []string
	if dir, err := os.Getwd(); err == nil {
		starts = append(starts, dir)
	}
	if program, err := os.Executable(); err == nil {
		starts = append(starts, filepath.Dir(program))
	}
	for _, dir := range starts {
		for ; ; dir = filepath.Dir(dir) {
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
				return filepath.Join(dir, ".tools"), nil
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return "", errors.New("no .tools folder (no go.mod above here, DAOBANK_TOOLS not set)")
}
