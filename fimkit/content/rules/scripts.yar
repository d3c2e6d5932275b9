// Web shells and hidden programs in Python, Perl, Ruby, JavaScript and the shell.

rule python_web_shell {
  meta:
    description = "Python runs a command or code out of a web request"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $direct = /(os\s*\.\s*(system|popen\d?)|subprocess\s*\.\s*(call|run|Popen|check_output|getoutput|getstatusoutput|check_call)|commands\s*\.\s*get(status)?output|[^\w.]eval|[^\w.]exec)\s*\([^\n]{0,120}(request\s*\.\s*(args|form|values|cookies|headers|GET|POST|data|json|params|query|forms|get_json|body)|get_(query_|body_|secure_)?(argument|cookie)s?\s*\(|FieldStorage|\.getvalue\s*\(|\.getfirst\s*\(|QUERY_STRING|HTTP_\w+|rfile\.read)/
    $cgi = /cgi\s*\.\s*FieldStorage\s*\(|import\s+cgi\b|parse_qs\s*\(|(BaseHTTP|SimpleHTTP|http\.server)|environ(\.get\s*\(|\[)\s*['"]QUERY_STRING|request\.(args|form|values|GET|POST|params|forms|query|headers)|bottle|wsgi/i
    $take = /=\s*[^\n]{0,60}(\.getvalue\s*\(|\.getfirst\s*\(|form\s*\[|request\.(args|form|values|GET|POST|params|query|forms|headers|json|cookies)|parse_qs|QUERY_STRING|HTTP_\w+|rfile\.read|environ\[)/
    $run = /(os\s*\.\s*(system|popen\d?)|subprocess\s*\.\s*(getoutput|getstatusoutput)|commands\s*\.\s*get(status)?output|[^\w.]exec)\s*\(\s*[a-z_]\w*/i
    $shell = /subprocess\s*\.\s*(call|run|Popen|check_output)\s*\([^\n]{0,200}shell\s*=\s*(True|1)/
    $eval = /[^\w.](eval|exec)\s*\(\s*(\w{1,20}\s*\(\s*)?[a-z_]\w*\s*[),]/i
    $part = /=\s*[^\n]{0,20}\brequest\s*\.\s*(headers|args|form|cookies|values|GET|POST)\s*(\.\s*get\s*\(|\[)/
  condition:
    ($direct or (filesize < 16KB and $part and $eval) or (filesize < 64KB and $cgi and $take and any of ($run, $shell)))
}

rule python_runs_decoded {
  meta:
    description = "Python runs what it decodes or fetches"
    severity = "suspect"
    attack = "T1027"
  strings:
    $exec = /(^|[^\w.])(exec|eval)\s*\(\s*(compile\s*\(\s*)?\(?\s*((__import__|getattr)\s*\([^\n]{1,40}\)\s*\.\s*\w+\s*\(\s*(__import__\s*\([^\n]{1,40}\)\s*\.\s*\w+\s*\(|b?['"])|(base64|binascii|zlib|marshal|codecs|bz2|lzma|gzip)\s*\.\s*(b(64|32|16|85)decode|a85decode|decompress|loads|decode|unhexlify|a2b_\w+|decodestring|decodebytes)\s*\(|b64decode\s*\(|unhexlify\s*\(|bytes\s*\.\s*fromhex|bytes\s*\(\s*\[|bytearray\s*\.?\s*(fromhex)?\s*\(|['"]{2}\s*\.\s*join\s*\(\s*(\[?\s*chr|map\s*\(\s*chr)|(requests\s*\.\s*get|urllib[\w.]*\s*\.\s*urlopen|urlopen)\s*\(|['"][^'"\n]{20,}['"]\s*\.\s*decode\s*\(\s*['"](hex|base64|rot|zip))/
    $chain = /marshal\s*\.\s*loads\s*\(\s*(zlib|base64|bz2|lzma)\s*\.|(zlib|bz2|lzma)\s*\.\s*decompress\s*\(\s*base64\s*\.\s*b(64|85|32)decode\s*\(\s*b?['"]/
    $lambda = /exec\s*\(\s*\(?\s*_{1,3}\w{0,3}\s*\)?\s*\(\s*b?['"]/
    $builtin = /(getattr\s*\(\s*__import__\s*\(|__builtins__\s*(\.__dict__)?\s*\[|globals\s*\(\s*\)\s*\[)[^\n]{0,60}(['"]\s*\+\s*['"]|chr\s*\(|\[::-1\]|\\x[0-9a-f]{2}\\x)/
    $code = /import |exec|eval/
  condition:
    $code and any of ($exec, $chain, $lambda, $builtin)
}

rule perl_web_shell {
  meta:
    description = "Perl runs a command or code out of a web request"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $perl = /#!\s?[^\n]{0,60}perl|\buse\s+(strict;|warnings|CGI|Socket|IO::|MIME::)|\bCGI(->|::)new|new\s+CGI\b/
    $direct = /(\bsystem|\bexec|\beval|\bqx)\s*[\s({\/"|]{1,4}[^;\n]{0,80}(param\s*\(|\$ENV\s*\{\s*['"]?(QUERY_STRING|HTTP_\w+|PATH_INFO|REQUEST_URI))/
    $ticks = /(=|print|return|\(|,|;|\})[ \t]?`[^`\n]{0,80}(\$ENV\s*\{|@\{\s*\[|\$\w{1,20}->param|\$\w{0,12}(cmd|comm|command|exec|query|in)\w{0,8}\b)/i
    $open = /open\s*\(?\s*\w{1,20}\s*,\s*["'][^"'\n]{0,40}(\$ENV\s*\{|\$\w{1,20})[^"'\n]{0,60}\|\s*["']/
    $pipe = /open\s*\(?\s*(my\s*)?\$?\w{1,20}\s*,\s*["']-\|["']\s*,\s*[^;\n]{0,60}\$\w/
    $take = /=\s*[^;\n]{0,40}(param\s*\(\s*['"]?\w|\$ENV\s*\{\s*['"]?(QUERY_STRING|HTTP_\w+|PATH_INFO)|<STDIN>|read\s*\(\s*STDIN)|read\s*\(\s*STDIN\s*,\s*(my\s*)?\$\w+\s*,\s*\$ENV/
    $run = /(\bsystem|\bexec|\beval|\bqx)\s*[({\/"]?\s*["({]?\s*\$\w|(=|print)[ \t]?`[ \t]?\$\w/
    $two = /open\s*\(?\s*(my\s+)?\$?\w{1,20}\s*,\s*["'][^"'\n]{0,40}\$\w{1,20}[^"'\n]{0,40}\|\s*["']/
    $bot = /(PRIVMSG|NICK\s)[^\n]{0,400}/
    $bot_run = /`\$\w|\bqx\s*[({\/]\s*\$|\b(system|exec)\s*\(?\s*["']?\$\w/
    $socket = /IO::Socket|use\s+Socket/
    $join = /JOIN\s+[#$]/
    $hash = /(\bsystem|\bexec|\beval)\s*\(?\s*["']?\$\w+\s*(->\s*)?[\[{]/
    $piped = /\bopen\s*\(?\s*(my\s*)?\$?\w{1,20}\s*,\s*["']-\|["']\s*,[^;]{0,60}(\$\w{1,20}\s*->\s*|\b)param\s*\(/
  condition:
    $perl and ($direct or $piped or (filesize < 8KB and $take and any of ($ticks, $open, $pipe, $run, $hash, $two)) or ($bot and $socket and $join and $bot_run))
}

rule perl_runs_decoded {
  meta:
    description = "Perl runs what it unpacks"
    severity = "suspect"
    attack = "T1027"
  strings:
    $eval = /\beval\s*[({]?\s*\(?\s*(decode_base64|unpack|pack|uncompress|join\s*\(?\s*['"]{2}\s*,\s*map|MIME::Base64::decode|reverse|Compress::Zlib)\s*[(\s'"]/
    $taken = /\$\w+\s*=\s*(decode_base64|unpack\s*\(?\s*["']u|pack\s*\(?\s*["']H)\s*[(,]?/
    $run = /\beval\s*\(?\s*\$\w+\s*[;)]/
    $perl = /#!\s?[^\n]{0,60}perl|use\s+(strict|warnings|MIME|CGI)|my\s+\$/
  condition:
    $perl and ($eval or ($taken and $run))
}

rule shell_web_shell {
  meta:
    description = "A CGI shell script runs what the request brings"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $eval = /(^|[\s;&|(`\/])(eval|(ba|da|z|k)?sh\s+-c|exec|source|\.)\s+["'`$({]{0,4}[^\n]{0,60}\$\{?(QUERY_STRING|HTTP_\w+|REQUEST_URI|PATH_INFO)\b/
    $piped = /\$\{?(QUERY_STRING|HTTP_\w+|PATH_INFO)\b[^\n]{0,160}\|\s*(\/bin\/)?(ba|da|z)?sh\b/
    $alone = /(^|\n)\s*(\$\{?(QUERY_STRING|HTTP_\w+)\b|\$\(\s*(urldecode|echo)[^\n]{0,40}QUERY_STRING[^\n]{0,100}\)\s*\n)/
    $take = /\w+=["'`$({]{0,4}[^\n]{0,80}(QUERY_STRING|HTTP_[A-Z_]+|REQUEST_URI|PATH_INFO)\b/
    $run = /(^|[\s;&|(`\/])(eval|(ba|da|z)?sh\s+-c)\s+["'{(]{0,2}\$\{?\w+/
    $read = /read\s+(-\w+\s+)*(\$?CONTENT_LENGTH\s+)?(-\w+\s+"?\$?\{?CONTENT_LENGTH\}?"?\s+)?\w+/
    $page = /Content-[Tt]ype:/
    $shell = /#!\s?[^\n]{0,40}(sh|busybox)\b/
  condition:
    $shell in (0..3) and (any of ($eval, $piped, $alone) or ($run and $take) or ($page and $read and $run))
}

rule shell_runs_decoded {
  meta:
    description = "A command decodes something and runs it"
    severity = "suspect"
    attack = "T1027"
  strings:
    $pipe = /base(64|32)\s+(-d|-D|--decode|-di|-i\s+-d)[^\n|]{0,60}\|\s*(gunzip|gzip\s+-d\w*|zcat|xz\s+-d\w*|bunzip2|openssl\s[^\n|]{1,60})?\s*\|?\s*(sudo\s+)?(\/bin\/|\/usr\/bin\/|\/usr\/bin\/env\s+)?((ba|da|z|k)?sh|python[23]?|perl|php|node)\b/
    $eval = /(eval|(ba|da|z)?sh\s+-c|exec)\s+["']?(\$\(|`)[^\n]{0,400}(base64\s+(-d|-D|--decode)|xxd\s+-r|\|\s*rev\b|openssl\s+(enc\s+)?-d|tr\s+['"]?[A-Za-z]-[A-Za-z])/
    $here = /((ba|da|z)?sh|source|\.)\s+<\(\s*[^\n]{0,300}(base64\s+(-d|--decode)|xxd\s+-r|(curl|wget)[^\n)]{0,80}https?:\/\/(\d{1,3}\.|[^\/\s]{0,60}(paste|transfer\.sh|\.onion)))/
    $hex = /(xxd\s+-r(\s+-p)?|printf\s+['"](\\x[0-9a-f]{2}){8}[^\n|]{0,2000}['"])\s*\|\s*(\/bin\/)?((ba|da|z)?sh|python[23]?|perl)\b/i
    $string = /<<<\s*["'][A-Za-z0-9+\/=]{16,}["']?\s*\|[^\n]{0,60}\|\s*(ba|da|z)?sh\b/
  condition:
    any of them
}

rule script_web_shell {
  meta:
    description = "Node, Ruby or Lua runs a command or code out of a web request"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $node = /((^|[^.\w\/])(exec(Sync|File|FileSync)?|spawn(Sync)?|eval|fork)|new\s+Function|runIn(This|New)?Context|(child_process['"]?\s*\)?|\bcp|\bproc(ess)?|\bshell(js)?|\bsh)\s*\.\s*(exec|spawn)(Sync|File|FileSync)?)\s*\([^;\n]{0,100}\b(req|request|ctx|url)\s*\.\s*(query|body|params|headers|cookies|request|url|parse|get\s*\()/
    $node_any = /require\s*\(\s*['"](node:)?child_process['"]\s*\)|from\s+['"](node:)?child_process['"]/
    $node_take = /=\s*[^;\n]{0,80}((\breq|\brequest|\bctx)\s*\.\s*(query|body|params|headers|cookies|url)|searchParams\.get|url\.parse\s*\([^;\n]{0,40}query)/
    $node_run = /\.?\b(exec|execSync|spawn|spawnSync)\s*\(\s*[a-z_]\w*\s*[,)]/i
    $node_shell = /\bspawn(Sync)?\s*\(\s*['"](\/bin\/)?((ba|da|z)?sh|cmd(\.exe)?)['"]\s*,\s*\[\s*['"][-\/]c['"]\s*,/
    $node_inline = /([^.\w]|child_process['"]?\s*\)?\.|\bcp\.)(exec|execSync)\s*\([^;\n]{0,60}(query|searchParams|\.url|body|headers)\b/
    $http = /createServer|express|require\s*\(\s*['"](node:)?http['"]|koa|fastify/
    $buffer = /(\beval|new\s+Function|runIn\w{0,4}Context)\s*\(\s*(Buffer\s*\.\s*from\s*\(|new\s+Buffer\s*\(|atob\s*\()/
    $node_eval = /(^|[^.\w])(eval|new\s+Function|exec(Sync)?)\s*\([^;\n]{0,60}(url['"]?\s*\)?\s*\.\s*parse|decodeURIComponent\s*\(\s*(req|request|q)\b|new\s+URL\s*\(\s*(req|request|q)\b)/
    $node_require = /new\s+(Async)?Function\s*\(\s*['"](require|module|exports|process)['"]/
    $node_buffer = /(exec|execSync|spawn|spawnSync|eval)\s*\(\s*(Buffer\s*\.\s*from|new\s+Buffer|atob)\s*\(/
    $lua_page = /(os\.execute|io\.popen|loadstring)\s*\(\s*(cgilua|wsapi|ngx|request|req|env)\b[^\n]{0,60}/
    $ruby = /(\bsystem|\bexec|\beval|\binstance_eval|IO\.popen|Open3\.\w+|\bspawn|Kernel\.\w+)\s*[\s("]{1,4}[^\n=]{0,60}([^$]?\bparams\s*\[\s*[:'"]|request\.(env|params)|cgi\s*\[|ENV\s*\[\s*['"](QUERY_STRING|HTTP_))/
    $ruby_ticks = /(`|%x\s?[{(\[|!])[^`\n]{0,60}#\{\s*(params|cgi|CGI\.new|request\.params|req\.query)\s*\[/
    $ruby_any = /(%x\s?[{(\[|!]|`)[^`\n]{0,40}#\{\s*\w{1,20}\s*[\[}]/
    $ruby_cgi = /require\s+['"](cgi|sinatra|rack|webrick)['"]/
    $php = /<\?(php|=)/
    $lua = /(os\.execute|io\.popen|loadstring)\s*\([^\n]{0,80}(ngx\.(req|var)|GET\s*\[|r:parseargs|uri_args|request)/
    $lua_take = /ngx\.req\.get_(uri|post)_args|ngx\.var\.arg_|r:parseargs|wsapi\.request|GET\.\w|QUERY_STRING/
    $lua_run = /(os\.execute|io\.popen|loadstring)\s*\(\s*[a-z_]/
  condition:
    not $php and ($node or ($node_any and $http and $node_inline) or ($node_any and $node_take and any of ($node_run, $node_shell)) or $buffer or ($node_require and $http) or $node_eval or ($node_any and $node_take and $node_buffer) or $lua_page or $ruby or $ruby_ticks or ($ruby_any and $ruby_cgi) or $lua or ($lua_take and $lua_run))
}

rule script_javascript_injected {
  meta:
    description = "JavaScript that runs letters given by their numbers or escapes"
    severity = "suspect"
    attack = "T1027"
  strings:
    $codes = /(eval|Function|document\.write|setTimeout|\(0,\s*eval\))\s*\(\s*(unescape\s*\(\s*['"](%[0-9a-f]{2}){16}|String\s*\.\s*fromCharCode\s*\(\s*(\d{2,3}\s*,\s*){10}|atob\s*\(\s*['"][A-Za-z0-9+\/=]{24})/i
    $append = /(appendChild|insertBefore|\.src\s*=)[^;]{0,80}String\s*\.\s*fromCharCode\s*\(\s*(\d{2,3}\s*,\s*){10}/
    $packed = /var\s+_0x[0-9a-f]{4,6}\s*=\s*\[\s*('\\x[0-9a-f]{2}|"\\x[0-9a-f]{2})/
  condition:
    any of them
}

rule script_page_skimmer {
  meta:
    description = "JavaScript gathers what is typed into a page and sends it to an address that it hides"
    severity = "suspect"
    attack = "T1056.003"
  strings:
    $address = /atob\s*\(\s*['"]aHR0c[A-Za-z0-9+\/=]{8,400}['"]/
    $gathers = /(querySelectorAll|getElementsByTagName)\s*\(\s*['"](input|form|select)/
    $sends = /new\s+Image\b|sendBeacon\s*\(|\bfetch\s*\(|XMLHttpRequest/
  condition:
    all of them
}
