# Whether traffic goes on: receipted.sh DATA NAME. Says so once two more requests are receipted than at the first look under
# this name, so that one of them was sent since; until then it says what it waits for.
touch "$1.traffic" "$1.refused"
now=$(wc -l < "$1.traffic")
[ -e "$1.$2" ] || echo "$now" > "$1.$2"
if [ $(($(cat "$1.$2") + 2)) -le "$now" ]; then echo "traffic goes on"; else echo "no receipt yet"; fi
if [ -s "$1.refused" ]; then cat "$1.refused"; fi
