#!/bin/sh
# Prints the skills that an advert asks for as JSON, by a list of German and English words.
set -eu
export LC_ALL=C
here=$(dirname "$0")
exec awk "$(cat "$here/lib.awk")"'
BEGIN {
    read_call()
    text = spaced(plain(J["input"]))
    gsub(/[^a-z0-9+#\200-\377]/, " ", text)
    gsub(/ +/, " ", text)
    skill("Accounting", "accounting|buchhaltung|finanzbuchhaltung")
    skill("CNC", "cnc")
    skill("Communication", "communication|kommunikation|kommunikationsstärke")
    skill("Customer service", "customer service|kundenberatung|kundenservice")
    skill("Docker", "docker")
    skill("Driving licence", "driving licence|führerschein|staplerschein")
    skill("Electrical installation", "elektroinstallation|schaltschrankbau|electrical installation")
    skill("English", "english|englisch|englischkenntnisse")
    skill("Excel", "excel")
    skill("First aid", "first aid|erste hilfe")
    skill("German", "german|deutsch|deutschkenntnisse")
    skill("HACCP", "haccp")
    skill("Kubernetes", "kubernetes")
    skill("Linux", "linux")
    skill("Medication", "medication|medikamentengabe")
    skill("Nursing", "nursing|pflege|grundpflege|behandlungspflege")
    skill("PostgreSQL", "postgresql|postgres")
    skill("Project management", "project management|projektmanagement|projektleitung")
    skill("Python", "python")
    skill("Rust", "rust")
    skill("SAP", "sap")
    skill("SQL", "sql")
    skill("Teaching", "teaching|pädagogik|pädagogische")
    skill("Teamwork", "teamwork|team player|teamfähigkeit|teamgeist")
    skill("Tableau", "tableau")
    skill("Welding", "welding|mig|tig|schweißen")
    print "{\"skills\":" quoted(found) ",\"skill_count\":" number + 0 "}"
}

function skill(name, words,    known, word, at) {
    known = split(words, word, /\|/)
    for (at = 1; at <= known; at++)
        if (index(text, " " word[at] " ")) {
            found = found (number++ ? ", " : "") name
            return
        }
}
'
