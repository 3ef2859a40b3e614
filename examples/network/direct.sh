# A Party publishes its directory, as DATA/directory.toml says it: direct.sh CODE DATA. The node's own key signs.
set -e
code=$1 data=$2
beside="--charter $data/charter/charter.dsse --profile $data/charter/profiles/$code.dsse"
rm -f "$code.directory.proposed.dsse" "$code.directory.dsse"
comity profile propose "$data/directory.toml" $beside --out "$code.directory.proposed.dsse" > /dev/null
comity profile sign "$code.directory.proposed.dsse" $beside --keys "$data/keys" --out "$code.directory.dsse" \
  --passphrase-file passphrase > /dev/null
