// Doors: a file of rules that says `// door: NAME` is tried only where the rule of that name matches, and that one is no hit.
//
// For rules that begin at every variable, string or call, and that hardly any file is for. A door must be open wherever a rule
// behind it matches: it asks for what each of them asks for anyway, and may ask for less.

rule door_request : door {
  strings:
    $request = /\$\{?_(GET|POST|REQUEST|COOKIE|SERVER|FILES)/i
    $old = "$HTTP_" nocase
    $body = "php://input" nocase
    $headers = "getallheaders" nocase
    $apache = "apache_request_headers" nocase
    $filter = "filter_input" nocase
    $environment = /getenv\s*\(\s*["']HTTP_/i
    $query = "QUERY_STRING" nocase
    $kinds = /["'][gpc]{1,3}["']/i
    $taker = /extract|parse_str|import_request_variables/i
  condition:
    any of ($request, $old, $body, $headers, $apache, $filter, $environment, $query) or ($kinds and $taker)
}

rule door_spelling : door {
  strings:
    $square = /[0-9a-f\s]\]\s*\.\s*\$\w/i
    $curly = /(\{ ?(\d+|0x[0-9a-f]+)\s*\}\s*\.\s*\$\w{1,40}\s*){2}\{/i
    $substr = /(substr\s*\(\s*\$\w{1,40}\s*,\s*-?\d+\s*,\s*1\s*\)\s*\.\s*){3}/i
    $append = /(\$\w{1,40}\s*\.=\s*\$\w{1,40}\s*[\[{]\s*\d+\s*[\]}]\s*;\s*){5}/
    $literal = /(["'][^"'\n]{8,80}["']\s*[\[{]\s*\d+\s*[\]}]\s*\.\s*){3}/
    $hex = /(\\x(5f|[67][0-9a-f])){8}/i
    $octal = /(\\1[4-7][0-7]){8}/
    $mixed = /(\\x(5f|[67][0-9a-f])[a-z_]{0,2}\\1[3-7][0-7]|\\1[3-7][0-7][a-z_]{0,2}\\x(5f|[67][0-9a-f]))[a-z_]{0,2}(\\x(5f|[67][0-9a-f])|\\1[3-7][0-7])/i
    $long = /["'][A-Za-z0-9+\/=\\%@*_.-]{400}/
    $xor = /["'\s)]\^[\s("']/
    $not = /~\s*(["'](\\x|%|[\x80-\xff])|urldecode|rawurldecode|base64_decode|hex2bin|[\x80-\xff])/i
    $indexed = /\^(\$|\s|ord)/i
    $chars = /chr\s*\(\s*ord\s*\([^;]{1,60}\)\s*(\^|-|\+)/i
    $assign = /[\w \t\]}.]= ?(chr ?\(\s*)?\(?\s?(ord ?\(\s*)?\$\w{1,40}\s*[\[{][^;]{1,60}\^/i
    $run = /eval|assert|create_function|\$_(GET|POST|REQUEST|COOKIE)|php:\/\/input/i
    $php = /<\?(php|=|\s)/i
    $chain = /(["'][\w;(<?$\/+=]{1,4}["']\s*\.\s*){4}["'][\w;(<?$\/+=]{0,6}["']/
    $replace = /(str_replace|str_ireplace|strtr|substr_replace|preg_replace)\s*\(\s*["'][^"'\n]{0,12}["']\s*,\s*["']{2}\s*,\s*["'][^"'\n]{4,80}["']\s*\)\s*;/i
    $constants = /\(\s*\w{1,40}::\w{1,40}\s*\.\s*\w{1,40}::\w{1,40}[^()]{0,60}\)\s*\(/
    $listed = /get_defined_functions\s*\(/i
    $name = /=\s*['"](assert|system|passthru|shell_exec|exec|popen|eval|create_function|pcntl_exec)['"]\s*;/i
    $goto = /\bgoto\s+\w{3,12}\s*;\s*\w{3,12}\s*:/
  condition:
    any of ($chain, $replace, $constants, $listed, $name) or #goto > 6
      or ($php and (any of ($square, $curly, $substr, $append, $literal, $hex, $octal, $mixed, $long, $xor, $not)
        or ($run and any of ($indexed, $chars, $assign))))
}
