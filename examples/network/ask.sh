# One request of a node to another Party: ask.sh DATA PARTY. Its id is left in DATA.asked.
set -e
id=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
comity --data "$1" request new PRES --to "$2" --id "$id" --file examples/first-request/request.toml > /dev/null
comity --data "$1" request send "$id" > /dev/null
echo "$id" > "$1.asked"
echo "asked $2"
