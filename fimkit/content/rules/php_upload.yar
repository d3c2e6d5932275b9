// PHP that takes files in or fetches them: uploaders and droppers.

import "math"

rule php_uploader {
  meta:
    description = "A small PHP file that stores whatever is uploaded, under the name that the sender chose"
    severity = "suspect"
    attack = "T1105"
  strings:
    $direct = /(move_uploaded_file|copy|rename)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\$(_FILES|HTTP_POST_FILES)[^;]{1,160}(\$(_FILES|HTTP_POST_FILES)[^;]{1,60}['"]?name['"]?\s*[\]}]|\$_(GET|POST|REQUEST|COOKIE)\s*\[)/i
    $move = /(move_uploaded_file|copy)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\(/i
    $files = /\$(_FILES|HTTP_POST_FILES)/i
    $named = /\$(_FILES|HTTP_POST_FILES)\s*\[[^;]{1,60}\[\s*['"]?name['"]?\s*\]/i
    $target = /\$\w+\s*=\s*[^;]{0,60}\$_(GET|POST|REQUEST|COOKIE|SERVER)\s*\[/i
    $content = /file_put_contents\s*\([^;]{1,120}file_get_contents\s*\(\s*\$_FILES/i
  condition:
    ((filesize < 64KB and any of ($direct, $content)) or (filesize < 16KB and $move and $files and any of ($named, $target)))
}

rule php_unpacks_upload {
  meta:
    description = "A small PHP file unpacks an uploaded archive where it stands"
    severity = "suspect"
    attack = "T1105"
  strings:
    $archive = /new\s+\\?(ZipArchive|PharData|Phar)\b/i
    $files = /\$_FILES\s*\[|\$_(POST|GET|REQUEST)\s*\[/i
    $extract = /->\s*extractTo\s*\(/i
  condition:
    all of ($archive, $files, $extract)
}

rule php_opens_the_door {
  meta:
    description = "PHP writes server configuration that has other files run as programs, or allows itself remote includes"
    severity = "suspect"
    attack = "T1562.001"
  strings:
    $write = /(file_put_contents|fwrite|fputs)\s*\([^;]{0,160}(AddType|AddHandler|SetHandler|ForceType)\s+[^;]{0,60}(php|cgi)/i
    $prepend = /(file_put_contents|fwrite|fputs)\s*\([^;]{0,160}auto_(ap|pre)pend_file/i
    $include = /ini_set\s*\(\s*["']allow_url_(include|fopen)["']\s*,\s*["']?(1|on|true)/i
    $run = /(^|[^\w>:$'"-])(include|require)(_once)?\s*\(?\s*(["']h["']?\s*\.?|["']ht|["'][^"'\n]{0,12}["']\s*\.|\$)/i
  condition:
    ($write or $prepend or ($include and $run))
}

rule php_takes_uploads {
  meta:
    description = "PHP stores an uploaded file"
    severity = "info"
    attack = "T1105"
  strings:
    $move = /move_uploaded_file\s*\(/i
    $files = "$_FILES"
  condition:
    all of them
}

rule php_fetches_code {
  meta:
    description = "PHP fetches something from elsewhere and runs it, or writes it where it will be run"
    severity = "suspect"
    attack = "T1105"
  strings:
    $eval = /(^|[^\w>:$'"-])(eval|assert)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\([^;]{0,60}(file_get_contents|file|fopen|curl_exec|implode\s*\(\s*["'][^"']{0,4}["']\s*,\s*@?file|stream_get_contents)\s*\(\s*["'$]/i
    $write = /(file_put_contents|fwrite|copy)\s*\([^;]{0,120}\.(php\d?|phtml|inc|htaccess|pl|py|sh|cgi)["'][^;]{0,60}(file_get_contents|curl_exec|fopen|['"]https?:\/\/)/i
    $copy = /\bcopy\s*\(\s*["'](https?|ftp):\/\/[^"'\n]{1,200}["']\s*,\s*[^;]{1,100}\.(php\d?|phtml|inc|pl|py|sh|cgi)["']/i
    $request = /(file_put_contents|copy|fwrite)\s*\([^;]{0,100}(file_get_contents|fopen)\s*\(\s*\$_(GET|POST|REQUEST|COOKIE)\s*\[/i
    $copied = /\bcopy\s*\(\s*\$_(GET|POST|REQUEST|COOKIE)\s*\[[^;]{1,80},\s*[^;]{1,100}\)/i
    $fetched = /\$(\w+)\s*=\s*@?(file_get_contents\s*\(\s*["']https?:\/\/|curl_exec\s*\()/i
    $run = /(^|[^\w>:$'"-])(eval|assert)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*(["']\s*\?>\s*["']\s*\.\s*)?["']?\$\w/i
    $kept = /file_put_contents\s*\(\s*\$\w+\s*,\s*@?(\$\w+\s*\)|(file_get_contents|curl_exec|\w{1,30})\s*\(\s*\$\w+\s*\)\s*\))/i
    $included = /(^|[^\w>:$'"-])(include|require)(_once)?[\s(]{1,4}\$\w{1,40}\s*\)?\s*;/i
    $address = /\$\w+\s*=\s*["'](https?|ftp):\/\/[^"'\n]{4,200}["']\s*;/i
    $loaded = /\$\w+\s*=\s*@?file_get_contents\s*\(\s*\$\w+\s*\)/i
    $shown = /(^|[^\w>:$'"-])(eval|assert)(\s|@)*\(\s*["']\s*\?>\s*["']?\s*\.?\s*\$\w/i
    $host = /["']ht["']?\s*\.|https?:\/\//
    $saved = /(file_put_contents|fopen)\s*\([^;,]{0,100}\.(php\d?|phtml|sh|pl|py|cgi)["']/i
    $command = /((^|[^\w>:$'"-])(system|exec|shell_exec|passthru|popen|proc_open)\s*\(\s*["'$]|(=|echo|print)\s*`)[^;`\n]{0,60}\b(wget|curl|lwp-download|fetch|lynx)\s[^;`\n]{0,200}(https?|ftp):\/\//i
    $php = /<\?(php|=|\s)/i
    $tidy = /class Smarty_\w+|namespace (Illuminate|Smarty)\b/
  condition:
    $php and (any of ($copy, $request, $copied, $command) or (any of ($eval, $write) and not $tidy)
    or for any i in (1..math.min(#fetched, 50)) : ($run in (@fetched[i]..@fetched[i] + 600) or $saved in (@fetched[i]..@fetched[i] + 600))
    or ($host and for any i in (1..math.min(#loaded, 50)) : ($shown in (@loaded[i]..@loaded[i] + 300)))
    or ($address and for any i in (1..math.min(#kept, 50)) : ($included in (@kept[i]..@kept[i] + 300))))
}
