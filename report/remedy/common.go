package remedy

// commonHead is what the scripts of every cloud share: saying where they are, comparing
// what they read, and stopping. It keeps to bash 3.2. Functions that read are not called
// where a failure would go unnoticed: in conditions, or before a pipe.
const commonHead = `# Functions of apply.sh, rollback.sh and verify.sh. Nothing here runs by itself.

dry_run="" # set: nothing is changed
made=0     # changes that are made
total=0    # changes that are to be made
current="" # the change at hand
began=""   # set: there was a change
state=""   # what was read last: one line for each rule, its id first
lines=""   # the same without ids
owner=""   # whose it is
wrong=0    # what was not as it should be

options() {
  for option in "$@"; do
    case $option in
      --dry-run) dry_run=yes ;;
      *)
        echo "usage: $0 [--dry-run]" >&2
        exit 2
        ;;
    esac
  done
}

part() {
  completed
  printf '\n== %s\n' "$1"
}

step() {
  completed
  began=yes
  current=$1
  printf '[%d/%d] %s\n' "$((made + 1))" "$total" "$1"
}

completed() {
  if [ -n "$current" ]; then made=$((made + 1)); fi
  current=""
}

finish() {
  if [ -n "$dry_run" ]; then
    echo "Nothing was changed."
  else
    echo "$1"
  fi
}

# Whatever ends a script early, it says how far it came.
tell() {
  code=$?
  if [ "$code" -eq 0 ] || [ "$total" -eq 0 ]; then return; fi
  {
    echo
    if [ -z "$began" ]; then
      echo "Stopped before any change."
    elif [ -n "$dry_run" ]; then
      echo "Stopped at: $current. Nothing was changed."
    elif [ -z "$current" ]; then
      echo "Stopped after change $made of $total."
    else
      echo "Stopped at change $((made + 1)) of $total, which is not made: $current"
    fi
    if [ -n "$began" ] && [ -z "$dry_run" ]; then
      echo "The changes before are made, none after. Once the cause is gone run $0 again: what is"
      echo "made already is found to be so. rollback.sh takes back what apply.sh did."
    fi
  } >&2
}
trap tell EXIT

# After changes that a dry run only pretends to make there is nothing to compare.
pretended() { [ -n "$dry_run" ] && [ -n "$began" ]; }

# is_there LINE
is_there() { grep -Fxq -e "$1" <<<"$lines"; }

# holds LINE: a rule that must be there.
holds() {
  if pretended || is_there "$1"; then return; fi
  echo "  $owner lacks: $1" >&2
  wrong=$((wrong + 1))
}

# gone LINE: a rule that must not be there.
gone() {
  if pretended || ! is_there "$1"; then return; fi
  echo "  $owner still has: $1" >&2
  wrong=$((wrong + 1))
}

# unchanged ID LINE…: the rule, if it is there at all, is one of these.
unchanged() {
  local id=$1 now
  shift
  now=$(sed -n "s/^$id //p" <<<"$state")
  if [ -z "$now" ]; then return; fi
  local line
  for line in "$@"; do
    if [ "$now" = "$line" ]; then return; fi
  done
  echo "  $owner: $id is now: $now" >&2
  wrong=$((wrong + 1))
}

settled() {
  if [ "$wrong" -eq 0 ]; then return; fi
  echo "$wrong rules are not as they should be." >&2
  echo "If the policy has changed since the report, make a new report." >&2
  exit 1
}
`
