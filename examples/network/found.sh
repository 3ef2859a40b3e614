# The network in which the pages of deploy/runbooks begin, founded by file as in examples/founding.md: three officers, of
# whom two sign; Arvia and Corvia with one root key, Belmar with three, of which two sign. Run in an empty folder that
# holds one file, the passphrase of all keys. Nothing runs when it ends.
set -e
(umask 077; echo 'correct horse battery staple' > passphrase)
quietly() { "$@" --passphrase-file passphrase > /dev/null; }
for officer in officer-1 officer-2 officer-3; do quietly comity key create $officer --role charter; done
for root in root-XA root-XB-1 root-XB-2 root-XB-3 root-XC; do quietly comity key create $root --role root; done

comity charter draft --network exercise.comity.test --exercise --instrument BC --party XA:Arvia \
  --party XB:Belmar:root-XB-1.pub --party XC:Corvia --signer officer-1.pub --signer officer-2.pub \
  --signer officer-3.pub --threshold 2 --out charter.toml > /dev/null
sed -i '/root-XB-1.pub/s/.*/keys = ["root-XB-1.pub", "root-XB-2.pub", "root-XB-3.pub"]/' charter.toml
sed -i '/^code = "XB"/,/^threshold/s/^threshold = 1/threshold = 2/' charter.toml
comity charter propose charter.toml --out charter-proposed.dsse > /dev/null
for officer in officer-1 officer-2; do
  quietly comity charter sign charter-proposed.dsse --keys $officer --out charter-by-$officer.dsse
done
comity charter collect charter-proposed.dsse charter-by-officer-*.dsse --out charter.dsse > /dev/null
comity charter minutes charter.dsse --out minutes.md > /dev/null
comity charter kit --charter charter.dsse --out kit.comity > /dev/null
for party in XA:arvia XB:belmar XC:corvia; do sh examples/network/join.sh ${party%:*} ${party#*:} kit.comity; done

# Each takes in what the others have signed.
for own in arvia belmar corvia; do
  for other in arvia belmar corvia; do cp -n $other/charter/profiles/*.dsse $own/charter/profiles/; done
done
rm -f charter-* *.signed.dsse *.proposed.dsse charter.toml
