# A Party makes its folder from a kit and declares itself, as in examples/founding.md: join.sh CODE FOLDER KIT [ADDRESS]
# The fingerprint is read from minutes.md, which came by another way. With an address the Party says in a directory of its
# own where its node is.
set -e
code=$1 data=$2 kit=$3 address=$4
words=$(grep -A4 'In words:' minutes.md | tail -4)
quietly() { "$@" --passphrase-file passphrase > /dev/null; }
quietly comity init --join "$kit" --party "$code" --data "$data" ${address:+--listen "$address"} --fingerprint $words
charter=$data/charter/charter.dsse profile=$data/charter/profiles/$code.dsse

comity profile propose "$data/profile.toml" --charter "$charter" --out "$code.proposed.dsse" > /dev/null
n=0
for root in root-$code root-$code-1 root-$code-2; do
  [ -d $root ] || continue
  n=$((n + 1))
  quietly comity profile sign "$code.proposed.dsse" --charter "$charter" --keys $root --out "$code-$n.signed.dsse"
done
comity profile collect "$code.proposed.dsse" "$code"-*.signed.dsse --charter "$charter" --out "$profile" > /dev/null

[ -n "$address" ] || exit 0
comity profile draft --directory --charter "$charter" --profile "$profile" --out "$data/directory.toml" > /dev/null
sed -i -e "s|^multiaddrs = .*|multiaddrs = [\"$address\"]|" -e 's|^hours = .*|hours = "24/7"|' "$data/directory.toml"
sh examples/network/direct.sh "$code" "$data"
