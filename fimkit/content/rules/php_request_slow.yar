// PHP that does something with the request: rules that are slow on any PHP, for they begin at variables and calls.
// door: door_request

import "math"

rule php_exec_tainted {
  meta:
    description = "PHP puts a part of the request into a variable and soon runs a variable"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $take = /\$\w+(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\.?=(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*[^;\n]{0,120}(\$\{?_(GET|POST|REQUEST|COOKIE)\b|\$HTTP_(GET|POST|COOKIE|RAW)|\$_SERVER\s*\[\s*["\']?(HTTP_|QUERY_STRING|PHP_AUTH|PATH_INFO|argv)|php:\/\/input|getallheaders|apache_request_headers|filter_input(_array)?\s*\(\s*INPUT_|getenv\s*\(\s*["\']HTTP_)[^;\n]{0,160};/i
    $each = /foreach\s*\(\s*\$_(GET|POST|REQUEST|COOKIE)\s+as/i
    $run = /(^|[^\w>:$'"-])((eval|system|passthru|shell_exec|popen|proc_open|pcntl_exec)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*((\w{3,30}\s*\(|["']\?>["']\s*\.)\s*){0,4}|assert(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*((stripslashes|base64_decode|str_rot13|strrev|trim)\s*\(\s*){0,3})["']?\{?\$\w{1,40}\s*(\[[^\]]{0,30}\]\s*)?[).,;"']/i
    $exec = /(^|[^\w>:$'"-])exec(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*["']?\{?\$\w/i
    $ticks = /(=|= |=\t|echo|echo |print|print |return |\() ?`[ \t]{0,2}\{?\$\w{1,30}(\s[^`\n]{0,40})?`/i
    $safe = /escapeshell(arg|cmd)\s*\(/
  condition:
    (for any i in (1..math.min(#take, 200)) : (
      ($run in (@take[i]..@take[i] + 1200) or $exec in (@take[i]..@take[i] + 1200) or $ticks in (@take[i]..@take[i] + 1200))
      and not $safe in (@take[i]..@take[i] + 1200)))
    or (for any i in (1..math.min(#each, 50)) : ($run in (@each[i]..@each[i] + 400) and not $safe in (@each[i]..@each[i] + 400)))
}

rule php_exec_small {
  meta:
    description = "A small PHP file that reads the request and runs a variable, with hardly anything else"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $php = /<\?(php|=|\s)/i
    $request = /(\$\{?_(GET|POST|REQUEST|COOKIE)\b|\$HTTP_(GET|POST|COOKIE|RAW)|\$_SERVER\s*\[\s*["\']?(HTTP_|QUERY_STRING|PHP_AUTH|PATH_INFO|argv)|php:\/\/input|getallheaders|apache_request_headers|filter_input(_array)?\s*\(\s*INPUT_|getenv\s*\(\s*["\']HTTP_)/i
    $run = /([;{}()=@&|.!?:,\n]|\b(echo|print|return|else|do|and|or|php)\s|\*\/|<\?)\s*\\?((eval|system|passthru|shell_exec|exec|popen|proc_open|pcntl_exec)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*((\w{3,30}\s*\(|["']\?>["']\s*\.)\s*){0,4}|assert(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*((stripslashes|base64_decode|str_rot13|strrev|trim)\s*\(\s*){0,3})["']?\{?\$\w/i
    $ticks = /(=|echo|print|return|\()[ \t]?`[^`\n]{0,40}\$\w{1,30}[^`\n]{0,40}`/i
    $handle = /ReflectionFunction|->\s*invoke(Args)?\s*\(|call_user_func(_array)?\s*\(\s*\$\w/i
  condition:
    filesize < 4KB and $php and $request and ($run or $ticks or $handle)
}

rule php_variable_called {
  meta:
    description = "PHP calls a function named by a variable with a part of the request"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $call = /\$\{?\w{1,40}\}?(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*(\w{3,30}\s*\(\s*){0,3}\$\{?_(GET|POST|REQUEST|COOKIE)\}?\s*[\[{]/i
    $head = /\$\w{1,40}\s*\(\s*(\w{3,30}\s*\(\s*){0,3}(getallheaders|apache_request_headers|file_get_contents\s*\(\s*['"]php:\/\/input)/i
    $chosen = /\$(\w{1,40})\s*=\s*@?(trim\s*\(|base64_decode\s*\(|strrev\s*\(|str_rot13\s*\()?\s*\$_(GET|POST|REQUEST|COOKIE)\s*[\[{][^\]};]{1,40}[\]}]\s*\)?\s*;/i
    $dynamic = /([;{}=(]|echo|return|print)\s*@?\$\w{1,40}\s*\(\s*[^);]{0,60}\)/
  condition:
    (any of ($call, $head))
    or (for any i in (1..math.min(#chosen, 100)) : ($dynamic in (@chosen[i]..@chosen[i] + 300)))
}

rule php_request_extracted {
  meta:
    description = "A small PHP file turns the request into variables, and calls or runs one"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $extract = /(^|[^\w>:$'"-])(extract|import_request_variables|parse_str|mb_parse_str)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\([^;]{0,80}(\$_(GET|POST|REQUEST|COOKIE)|QUERY_STRING|php:\/\/input|["'][gpc]{1,3}["'])/i
    $ends = /\$\w{1,40}\s*=\s*@?(end|key|current|reset|next|array_pop|array_shift|array_values|array_keys|implode|join|pos|each)\s*\([^;]{0,40}\$_(GET|POST|REQUEST|COOKIE|FILES|SERVER)\b/i
    $dynamic = /([;{}=(]|echo|return|print)\s*@?\$\w{1,40}(\s*[\[{][^\]};]{1,30}[\]}])?\s*\(\s*[^);]{0,60}\)/
    $callback = /(array_map|array_filter|array_walk|u[ak]?sort|call_user_func(_array)?)\s*\([^;]{0,60}\$\w{1,40}\s*\[/i
    $run = /(^|[^\w>:$'"-])(eval|assert|system|passthru|shell_exec|exec|popen|proc_open)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*["']?\$\w/i
    $whole = /\$\w{1,40}\s*=\s*&?\s*(\$_(GET|POST|REQUEST|COOKIE)\s*;|filter_input_array\s*\(\s*INPUT_|json_decode\s*\([^;]{0,60}php:\/\/input)/i
    $own = /[^\w>:]\$\w{1,40}\s*\[\s*['"]?\w{1,20}['"]?\s*\]\s*\(\s*(@?\w{3,20}\s*\(\s*){0,2}\$\w{1,40}\s*\[/
    $object = /\(\s*\$\w{1,20}->\w{1,20}\s*\)\s*\(\s*\$\w{1,20}->/
    $include = /(^|[^\w>:$'"-])(include|require)(_once)?[\s(]{1,4}\$\w{1,40}\s*\)?\s*;/i
    $list = /(list\s*\([^)]{1,80}\)|[;{}\s]\[\s*(['"]?\w{1,20}['"]?\s*=>\s*)?\$\w{1,40}\s*,[^\];]{1,120}\])\s*=\s*[^;]{0,60}\$_(GET|POST|REQUEST|COOKIE)\b/i
    $indexed = /\$\w{1,40}\s*(\[[^\]]{1,30}\]\s*)?\[\s*\$_(GET|POST|REQUEST|COOKIE)\s*[\[{][^\]};]{1,40}[\]}]\s*\]\s*\(/i
  condition:
    filesize < 16KB and (($extract and any of ($dynamic, $callback, $run, $include)) or ($whole and any of ($own, $object)) or (any of ($ends, $list) and any of ($dynamic, $run)) or $indexed)
}

rule php_numbered_calls {
  meta:
    description = "PHP calls functions by their numbers in a list, with what the request brings"
    severity = "suspect"
    attack = "T1027"
  strings:
    $nested = /\d ?[\]}] ?\( ?@?\$\w{1,40}\s*[\[{]\s*\d+\s*[\]}]\s*\(/
    $numbered = /\d ?\] ?\( ?(\$\w|\))/
    $element = /= ?\$\w{1,40}\s*\[\s*['"]?\w{1,12}['"]?\s*\]\s*;\s*@?\$\w{1,40}\s*\(\s*\$\w{1,40}\s*\[/
    $member = /\(\s*(self|static|\$this|\$\w{1,40})\s*(::\s*\$|->)\w{1,40}\s*\[\s*['"]?\w{1,12}['"]?\s*\]\s*\)\s*\(\s*\(/
    $request = /(\$\{?_(GET|POST|REQUEST|COOKIE)\b|\$_SERVER\s*\[\s*["']?(HTTP_|QUERY_STRING|PHP_AUTH|PATH_INFO|argv)|php:\/\/input|getallheaders)/
  condition:
    $request and ($nested or #numbered > 3 or (any of ($element, $member) and filesize < 64KB))
}

rule php_mails_passwords {
  meta:
    description = "PHP sends the passwords or cards that visitors type to a mail box or a chat: a phishing page"
    severity = "suspect"
    attack = "T1056.003"
  strings:
    $secret = /\$_(POST|REQUEST|GET)\s*\[\s*['"]?\w{0,20}(pass(wd|word)?|psw|pwd|pin|cvv2?|cvc|card(num|number)?|cc(num)?|ssn|otp|mmn)\w{0,12}['"]?\s*\]/i
    $secret2 = /\$_(POST|REQUEST)\s*\[\s*['"]?\w{0,20}(cvv2?|cvc|ssn|cardnumber|ccnum|mmn)\w{0,12}['"]?\s*\]/i
    $send = /(^|[^\w>:$'"-])@?mail\s*\(\s*["'$]/i
    $bot = /api\.telegram\.org\/bot/i
    $hook = /discord(app)?\.com\/api\/webhooks/i
    $drop = /(file_put_contents|fopen)\s*\(\s*['"][\w.\/-]{1,60}\.(txt|log|html?|dat)['"]/i
    $from = /REMOTE_ADDR|HTTP_CLIENT_IP|HTTP_X_FORWARDED_FOR/
    $mark = /=[ \t]?["'][^"'\n]{0,40}([-=+|*~#_]{4,}|\bfullz\b|\bvictim\b|\bre[sz]ult\b|\blog(s|in)?\b)/i
    $checks = /password_verify\s*\(\s*\$_(POST|REQUEST)/i
    $away = /header\s*\(\s*["'](Location|Refresh)/i
  condition:
    (
      ($secret and any of ($bot, $hook))
      or ($secret and $send and ($from or $mark) and ($away or $mark) and not $checks)
      or ($secret2 and $send and $from)
      or ($secret and $drop and $from and $away))
}
