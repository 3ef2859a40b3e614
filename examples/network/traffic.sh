# One request after another, each sent when the one before is receipted: traffic.sh DATA PARTY, until DATA.quiet is there.
# A line in DATA.traffic for each that was receipted.
while [ ! -e "$1.quiet" ]; do
  id=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  comity --data "$1" request new PRES --to "$2" --id "$id" --file examples/first-request/request.toml \
    > "$1.said" 2>&1 &&
    comity --data "$1" request send "$id" > "$1.said" 2>&1 ||
    { tail -1 "$1.said" >> "$1.refused"; continue; }
  until comity --data "$1" request show "$id" 2> /dev/null | grep -q " $2 at "; do sleep 0.2; done
  echo "$id" >> "$1.traffic"
done
