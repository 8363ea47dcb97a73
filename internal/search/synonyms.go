package search

import "strings"

// synonyms are words that stand for each other in descriptions of tools, a group a
// line: what people do with things, what they call things, and short forms.
const synonyms = `
add create make new insert append register open
delete remove erase drop destroy discard purge clear trash throw bin junk
update edit modify change set adjust patch revise
get fetch read retrieve show view display load obtain see
list enumerate browse show
find search lookup query locate look discover
send post deliver submit write tell inform notify
run execute start launch invoke trigger perform
stop cancel halt abort terminate kill end pause
move transfer relocate
copy duplicate clone
rename relabel retitle
book reserve schedule arrange plan
merge combine join integrate
join enter invite
check verify validate test inspect
compare diff difference
assign allocate delegate
approve accept confirm
reject decline deny refuse
upload import attach
download export save
buy purchase order
pay charge bill payment
refund reimburse reverse
expense reimburse receipt
summarize summary digest overview
translate translation language french german spanish english italian chinese japanese
deploy release publish ship rollout
subscribe follow watch
comment reply note remark feedback answer respond
issue ticket bug task story
email mail message inbox
message chat dm text
meeting event appointment calendar call agenda diary
free available availability slot
reaction emoji like thumbs
size big large long space
time hour duration
picture image photo screenshot
video clip movie
file document doc page
folder directory
repository repo codebase
database db table
person user people contact member employee colleague teammate
customer client account
company organization org business
team group
channel room
website site webpage web url page link online internet google
click press push tap
weather forecast temperature rain
temperature warm warmer hot heat heating cold thermostat
place location address where nearby
route directions navigate way travel drive distance
price cost quote spend spent spending
stock share ticker
invoice bill receipt
log logs output trace
error exception failure crash fail
server host machine instance vm
metric metrics statistics stats analytics usage
alert alarm incident page outage
dashboard chart graph
kubernetes k8s cluster
container docker pod
config configuration setting preference option
environment env
application app
authentication auth login
password secret credential
branch ref
commit changeset revision history
pr pull
todo task reminder
song track music
volume loud louder quiet quieter
playlist queue
news article headline
money currency cash
holiday vacation leave absence pto
salary payroll wage payslip paycheck
label tag
permission access role share
spreadsheet sheet excel
row record entry line
column field
key ssh
sum total count number
`

// related leads from each word's stem to those that stand for it.
func related() map[string][]string {
	groups := strings.Split(strings.TrimSpace(synonyms), "\n")
	all := make(map[string][]string, 4*len(groups))
	for _, line := range groups {
		var group []string
		for w := range strings.FieldsSeq(line) {
			group = append(group, stem(w))
		}
		for i, w := range group {
			for j, other := range group {
				if i != j && w != other {
					all[w] = append(all[w], other)
				}
			}
		}
	}
	return all
}
