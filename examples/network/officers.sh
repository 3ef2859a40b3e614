# Belmar takes two officers from now on: three have keys of their own and stand on its roll, which counts before the
# profile that requires it does. Run in the network of the runbooks, with its nodes running.
set -e
quietly() { "$@" --passphrase-file passphrase > /dev/null; }
charter=$(find belmar/charter/charter* -name '*.dsse' | sort | tail -1)
profile=belmar/charter/profiles/XB.dsse
for officer in duty-1 duty-2 duty-3; do quietly comity key create $officer --role officer; done
comity officer roll draft --charter $charter --profile $profile --out roll-1.toml > /dev/null
for officer in duty-1 duty-2 duty-3; do
  printf '\n[[officer]]\nid = "%s"\nkey = "%s.pub"\nauthority = "central"\nsides = ["requesting", "requested"]\n' $officer $officer
  printf 'from = "2026-01-01T00:00:00Z"\n'
done >> roll-1.toml
quietly comity officer roll sign roll-1.toml --charter $charter --profile $profile --keys belmar/keys --out roll-1.dsse
comity --data belmar officer roll install roll-1.dsse > /dev/null

comity profile draft --after $profile --charter $charter --out eyes.toml > /dev/null
printf '\n[[declaration]]\ncode = "FOUR-EYES"\nvalue = "required"\n' >> eyes.toml
comity profile propose eyes.toml --charter $charter --after $profile --out eyes.dsse > /dev/null
for n in 1 2; do quietly comity profile sign eyes.dsse --charter $charter --keys root-XB-$n --out eyes-$n.dsse; done
comity profile collect eyes.dsse eyes-1.dsse eyes-2.dsse --charter $charter --out eyes-final.dsse > /dev/null
comity --data belmar roster import eyes-final.dsse > /dev/null
echo 'two officers are required'
