// What comes after the way in: staying, mining, hiding.

rule dropper_fetch_and_run {
  meta:
    description = "A command fetches a file into a temporary folder and runs it"
    severity = "suspect"
    attack = "T1105"
  strings:
    $line = /\b(wget|curl|lwp-download|fetch|lynx|tftp)\s[^\n]{4,300}(\/tmp\/|\/dev\/shm\/|\/var\/tmp\/|\/run\/)[^\n]{0,200}(;|&&|\n)\s*(sudo\s+)?(chmod\s+(\+x|[0-7]{3,4}|a\+x|u\+x)|(ba|da|z)?sh\s|perl\s|python\S{0,4}\s|nohup\s|\.\/|\/tmp\/)/
    $cd = /cd\s+(\/tmp|\/var\/tmp|\/dev\/shm|\/var\/run)[^\n]{0,60}(;|&&|\|\|)[^\n]{0,40}\b(wget|curl|tftp|ftpget|lwp-download|fetch)\s/
    $address = /\b(wget|curl)\s[^\n|]{0,120}(https?|ftp):\/\/\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}[^\n|]{0,160}\|\s*(sudo\s+)?(ba|da|z)?sh\b/
    $php = /(system|exec|shell_exec|passthru|popen|os\.system|subprocess\.\w+)\s*\([^\n;]{0,80}(wget|curl)\s[^\n]{4,200}(\|\s*(ba)?sh\b|-O\s*\/tmp|-o\s*\/tmp|chmod\s)/i
    $page = /<!DOCTYPE\s+html|<html/i
    $program = /<\?(php|=)|<%|<script/i
  condition:
    any of ($line, $cd, $address, $php) and not ($page in (0..200) and not $program) // a page of text runs nothing
}

rule dropper_cron {
  meta:
    description = "A cron line, or a command that makes one, fetches and runs a program"
    severity = "suspect"
    attack = "T1053.003"
  strings:
    $line = /(([*\d][\d,*\/-]{0,20}[ \t]+){4}[*\d][\d,*\/-]{0,20}|@(reboot|hourly|daily))[ \t]+[^\n]{0,120}\b(curl|wget|lwp-download|fetch)\s[^\n]{4,300}\|\s*(sudo\s+)?(\/bin\/)?((ba|da|z)?sh|python\S{0,4}|perl|php)\b/
    $hidden = /(([*\d][\d,*\/-]{0,20}[ \t]+){4}[*\d][\d,*\/-]{0,20}|@(reboot|hourly|daily))[ \t]+([a-z_-]{1,32}[ \t]+)?[^\n]{0,60}(\/tmp\/|\/dev\/shm\/|\/var\/tmp\/)\.?[\w.\/-]{1,80}[^\n]{0,40}(>\s*\/dev\/null|\|)/
    $install = /(echo|printf|crontab\s+-l)[^\n]{0,400}(\*\s+\*|@reboot|@hourly)[^\n]{0,400}(\|\s*crontab|>{1,2}\s*\/(etc\/cron|var\/spool\/cron))/
    $php = /(file_put_contents|fwrite|fopen)\s*\([^;]{0,60}(\/var\/spool\/cron|\/etc\/cron)/i
    $exec = /(system|exec|shell_exec|passthru|popen)\s*\([^;]{0,200}(\|\s*crontab|crontab\s+(-|\/tmp))/i
  condition:
    any of them
}

rule dropper_ssh_key {
  meta:
    description = "A command or program adds a key to those that may log in by ssh"
    severity = "suspect"
    attack = "T1098.004"
  strings:
    $echo = /(echo|printf|cat\s*<<)[^\n]{0,40}(ssh-(rsa|ed25519|dss)|ecdsa-sha2)[^\n]{1,1200}>{1,2}[^\n]{0,100}authorized_keys/
    $call = /(file_put_contents|fwrite|fopen|open|writeFile(Sync)?|appendFile(Sync)?)\s*\([^;\n]{0,100}authorized_keys2?["'][^;\n]{0,60}(["'](a|w|a\+)["']|ssh-|FILE_APPEND|\$\w|\w+)/i
    $key = /(ssh-(rsa|ed25519|dss)|ecdsa-sha2-nistp\d+)\s+AAAA/
    $fetch = /\b(curl|wget)\s[^\n]{4,200}>{1,2}\s*[^\n]{0,60}authorized_keys/
    $request = /\$_(GET|POST|REQUEST)|base64_decode|file_get_contents\s*\(\s*['"]https?:/
  condition:
    $echo or $fetch or ($call and any of ($key, $request))
}

rule dropper_preload {
  meta:
    description = "A command puts a library before every program"
    severity = "suspect"
    attack = "T1574.006"
  strings:
    $write = /(echo|printf|cp|mv|tee|cat)\s[^\n]{0,200}(>{1,2}|tee(\s+-a)?)?\s*\/etc\/ld\.so\.preload/
    $call = /(file_put_contents|fwrite|fopen|open)\s*\([^;\n]{0,60}\/etc\/ld\.so\.preload["']\s*,/
    $comment = /\n\s*#[^\n]{0,120}ld\.so\.preload/
  condition:
    any of ($write, $call) and not $comment
}

rule miner {
  meta:
    description = "A miner, its configuration, or a page that has its visitors mine"
    severity = "suspect"
    attack = "T1496"
  strings:
    $stratum = /stratum\+(tcp|ssl|tls|udp)s?:\/\/[^\s"'<>]{4}/i
    $donate = /["']?-{0,2}donate-level["']?\s*[:= ]\s*\d/
    $pools = /"pools"\s*:\s*\[/
    $algo = /"algo"\s*:\s*|"coin"\s*:|--algo|cryptonight|randomx|--coin\b/i
    $wallet = /"(user|wallet|wallet_address)"\s*:\s*"[48][0-9A-Za-z]{90}/
    $name = /\b(xmrig|minerd|cpuminer|xmr-stak|ccminer|nbminer|lolminer|t-rex)\b/i
    $pool_url = /["'\s](pool|xmr|mine|gulf)\.[\w.-]{3,60}:\d{4,5}\b/i
    $web = /(CoinHive|CryptoLoot|deepMiner|coinhive|Client\.Anonymous|CoinImp)\s*\.\s*(Anonymous|User|Init|Token)\s*\(|new\s+(CoinHive|CryptoLoot|deepMiner)\b|_client\s*=\s*new\s+Client\.Anonymous/
    $start = /\.\s*start\s*\(/
  condition:
    ($stratum) or $wallet or (2 of ($donate, $pools, $algo, $name, $pool_url) and ($donate or $pool_url)) or ($web and $start)
}

rule hides_traces {
  meta:
    description = "A command hides what is done: no history, files that cannot be deleted, logs emptied"
    severity = "info"
    attack = "T1070.003"
  strings:
    $history = /unset\s+HISTFILE|HISTFILE=\/dev\/null|HISTSIZE=0|set\s+\+o\s+history|history\s+-c\b/
    $immutable = /chattr\s+(-R\s+)?\+[ia]{1,2}\s+\S/
    $logs = /(>|cat\s+\/dev\/null\s*>|rm\s+-r?f)\s*\/var\/log\/(wtmp|btmp|lastlog|auth\.log|secure|messages)\b/
  condition:
    any of them
}

rule program_in_text_folder {
  meta:
    description = "A file that begins as a program for Linux or Windows; a web root has few"
    severity = "info"
    attack = "T1036"
  strings:
    $pe = { 50 45 00 00 }
  condition:
    uint32be(0) == 0x7F454C46 or (uint16be(0) == 0x4D5A and $pe in (64..1024))
}
