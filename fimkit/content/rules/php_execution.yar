// PHP that runs what a request brings: the core of a web shell, whatever is written around it.
//
// Written so that names of variables, spacing, case, `@` and comments between tokens do not matter. Two shapes recur in the patterns:
// the gap, `(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*`, and the request: $_GET and its siblings, the old $HTTP_*_VARS, headers, and php://input.
// What is escaped before it runs (escapeshellarg and kin) is another thing, and is left out by the conditions.

import "math"

rule php_exec_request {
  meta:
    description = "PHP runs code or a command taken straight from the request"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $code = /(^|[^\w>:$'"-])(eval|create_function)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\([^;]{0,120}(\$\{?_(GET|POST|REQUEST|COOKIE)\b|\$HTTP_(GET|POST|COOKIE|RAW)|\$_SERVER\s*\[\s*["\']?(HTTP_|QUERY_STRING|PHP_AUTH|PATH_INFO|argv)|php:\/\/input|getallheaders|apache_request_headers|filter_input(_array)?\s*\(\s*INPUT_|getenv\s*\(\s*["\']HTTP_)/i
    $check = /(^|[^\w>:$'"-])assert(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|[@"'(.\\]|\/\*[^*]*\*+\/|(stripslashes|base64_decode|str_rot13|strrev|urldecode|rawurldecode|hex2bin|gzinflate|trim|end|current|reset|implode\s*\([^,]{0,9},|array_pop|array_shift|pos|strval|chr)\s*\(|\(string\)){0,12}(\$\{?_(GET|POST|REQUEST|COOKIE)\b|\$HTTP_(GET|POST|COOKIE|RAW)|\$_SERVER\s*\[\s*["\']?(HTTP_|QUERY_STRING|PHP_AUTH|PATH_INFO|argv)|php:\/\/input|getallheaders|apache_request_headers|filter_input(_array)?\s*\(\s*INPUT_|getenv\s*\(\s*["\']HTTP_)/i
    $quoted = /(^|[^\w>:$'"-])assert(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\(\s*["'][^\n;]{0,60}(eval|system|exec|passthru)\s*\([^\n]{0,40}_(GET|POST|REQUEST|COOKIE)/i
    $command = /(^|[^\w>:$'"-])(system|passthru|shell_exec|exec|popen|proc_open|pcntl_exec|expect_popen)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\([^;]{0,200}(\$\{?_(GET|POST|REQUEST|COOKIE)\b|\$HTTP_(GET|POST|COOKIE|RAW)|\$_SERVER\s*\[\s*["\']?(HTTP_|QUERY_STRING|PHP_AUTH|PATH_INFO|argv)|php:\/\/input|getallheaders|apache_request_headers|filter_input(_array)?\s*\(\s*INPUT_|getenv\s*\(\s*["\']HTTP_)/i
    $ticks = /(=|echo|print|return|die\s*\(|exit\s*\(|[;{(]|<\?=|<\?php|@)\s*`[^`]{0,100}\$\{?_(GET|POST|REQUEST|COOKIE|SERVER)\}?\s*[\[{][^`]{0,100}`/i
    $bare = /(^|[^\w>:$'"-])(eval|assert|system|passthru|shell_exec|exec|popen|proc_open|pcntl_exec|expect_popen|create_function)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\([^;()]{0,100}\$\{?_(GET|POST|REQUEST|COOKIE)\b/i
    $framework = /(^|[^\w>:$'"-])(eval|assert|system|passthru|shell_exec|exec|popen|proc_open)\s*\(\s*(["'][^"'\n]{0,40}["']\s*\.\s*|\w{3,20}\s*\(\s*){0,3}(\$request\s*->|request\s*\(\s*['"]|Input::get|\$this->(input|request)->(get|post|query|getPost|getParam|data)\b|\$\w{1,20}->get_param\s*\(|JFactory::|Request::(input|get|query|header))/i
    $here = /(^|[^\w>:$'"-])(eval|system|passthru|shell_exec|exec|popen)\s*\(\s*<<<\s*["']?\w/i
    $constant = /(^|[^\w>:$'"-])eval\s*\(\s*(["']\?>["']\s*\.\s*)?[A-Z][A-Z0-9_]{1,40}\s*\)/
    $scope = /(^|[^\w>:$'"-])(eval|assert|system|passthru|shell_exec|exec)\s*\([^;]{0,80}get_defined_vars\s*\(/i
    $any = /(\$\{?_(GET|POST|REQUEST|COOKIE)\b|\$HTTP_(GET|POST|COOKIE|RAW)|\$_SERVER\s*\[\s*["\']?(HTTP_|QUERY_STRING|PHP_AUTH|PATH_INFO|argv)|php:\/\/input|getallheaders|apache_request_headers|filter_input(_array)?\s*\(\s*INPUT_|getenv\s*\(\s*["\']HTTP_)/i
    $php = /<\?(php|=|\s)|<script\s[^>]*php/i
    $safe = /function\s+(apache_request_headers|getallheaders)|escapeshell(arg|cmd)\s*\(|intval\s*\(|\(int\)\s*\$/i
  condition:
    $php and ($check or $quoted or $ticks or $scope or $framework or $bare or ($any and any of ($here, $constant))
      or for any i in (1..math.min(#code, 100)) : (not $safe in (@code[i]..@code[i] + !code[i]))
      or for any i in (1..math.min(#command, 100)) : (not $safe in (@command[i]..@command[i] + !command[i])))
}

rule php_request_called {
  meta:
    description = "PHP calls a function whose name the request chooses"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    // Behind the bracket stands what is handed over: "$_SERVER['SERVER_NAME'] (or 'localhost')" is said in a comment.
    $direct = /\$\{?_(GET|POST|REQUEST|COOKIE|SERVER)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\}?(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*[\[{][^\]};]{1,60}[\]}](\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\(\s*([^\w\s]|\w+\s*[^\w\s'"$]|\d)/i
    $group = /\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\$\{?_(GET|POST|REQUEST|COOKIE)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*[\[{][^\]};]{1,60}[\]}](\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\(/i
    $name = /['"]\s*\)?(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*(\w{3,20}\s*\()?\$_(GET|POST|REQUEST|COOKIE)\s*[\[{]/i
    $item = /[\w'"]\s*\](\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*(\w{3,20}\s*\()?\$_(GET|POST|REQUEST|COOKIE)\s*[\[{]/i
    $pairs = /foreach\s*\(\s*\$_(GET|POST|REQUEST|COOKIE)\s+as\s+\$\w+\s*=>\s*\$\w+\s*\)\s*\{?\s*@?\$\w+\s*\(/i
    $spread = /(u[ak]?sort|array_(map|filter|walk|reduce)|call_user_func(_array)?|iterator_apply|register_shutdown_function|\$\w{1,40})\s*\(\s*\.\.\.\s*(array_values\s*\(\s*)?\$_(GET|POST|REQUEST|COOKIE)\b/i
    $new = /new\s+\$_(GET|POST|REQUEST|COOKIE)\s*[\[{]/i
    $braces = /\$\{\s*\$?\w{1,20}\s*\}\s*[\[{][^\]}]{1,30}[\]}]\s*\(\s*\$\{/
    $php = /<\?(php|=|\s)/i
  condition:
    any of ($direct, $group, $name, $item, $new, $spread, $pairs) or ($php and $braces)
}

rule php_callback_request {
  meta:
    description = "PHP hands the request, or a function that runs code, to a function that calls back"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $first = /(array_(map|walk|walk_recursive)|call_user_func(_array)?|forward_static_call(_array)?|register_(shutdown|tick)_function|ob_start|set_(error|exception)_handler|spl_autoload_register|iterator_apply|header_register_callback|new\s+ReflectionFunction|Closure\s*::\s*fromCallable|preg_replace_callback)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\$_(GET|POST|REQUEST|COOKIE|SERVER)\s*[\[{]/i
    $iterator = /new\s+\\?(Recursive)?CallbackFilterIterator\s*\([^;]{0,160},\s*\$_(GET|POST|REQUEST|COOKIE)\s*[\[{]/i
    $later = /(sqlite_?create_?function|createFunction|createAggregate|createCollation|usort|uasort|uksort|array_(filter|reduce|u(diff|intersect)(_u?assoc)?|(diff|intersect)_(uassoc|ukey)|walk)|preg_replace_callback|mb_ereg_replace_callback|iterator_apply|filter_var(_array)?)\s*\([^;]{1,160},\s*@?\$_(GET|POST|REQUEST|COOKIE)\s*[\[{][^\]};]{1,40}[\]}]\s*\)/i
    $runs = /(array_(map|walk|walk_recursive|filter|reduce|u?diff\w{0,12}|u?intersect\w{0,12})|u[ak]?sort|call_user_func(_array)?|forward_static_call(_array)?|register_(shutdown|tick)_function|ob_start|set_(error|exception)_handler|iterator_apply|preg_replace_callback(_array)?|filter_var(_array)?|header_register_callback|session_set_save_handler|yaml_parse(_file|_url)?|libxml_set_external_entity_loader|assert_options|curl_setopt|ReflectionFunction|fromCallable|sqlite_?create_?function|createFunction)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\([^;]{0,160}['"](assert|system|eval|exec|passthru|shell_exec|create_function|popen|pcntl_exec|proc_open)['"]/i
    $decoded = /(array_(filter|walk|reduce)|u[ak]?sort|iterator_apply)\s*\([^;()]{0,80}(\([^;()]{0,40}\))?[^;()]{0,40},\s*(base64_decode|str_rot13|strrev|hex2bin|gzinflate|convert_uudecode)\s*\([^;()]{1,80}\)\s*[,)]|(array_map|call_user_func(_array)?|register_shutdown_function|forward_static_call)\s*\(\s*(base64_decode|str_rot13|strrev|hex2bin|gzinflate|convert_uudecode)\s*\(/i
    $closure = /function\s*\(\s*\$\w+\s*,\s*\$\w+\s*\)\s*\{\s*(return\s+)?@?\$\w+\s*\(\s*\$\w+\s*\)\s*;\s*\}\s*,[^;]{0,40}\$_(GET|POST|REQUEST|COOKIE)\b/i
    $option = /['"]options['"]\s*=>\s*['"](assert|system|eval|exec|passthru|shell_exec)['"]/i
    $tricky = /(array_(map|walk|filter|reduce|diff_ukey|udiff)|u[ak]sort|usort|call_user_func(_array)?|register_shutdown_function|register_tick_function|iterator_apply|array_walk_recursive|preg_replace_callback)\s*\(\s*(\$\w+\s*(\[[^\]]{0,20}\])?|['"][^'"\n]{0,20}['"]\s*\.[^,;]{1,80}|base64_decode\s*\([^;,]{1,60}|str_rot13[^,;]{1,60}|strrev[^,;]{1,60})\s*,\s*(array\s*\(|\[)?\s*\$_(GET|POST|REQUEST|COOKIE)\s*[\[{]/i
    $data = /(array_(map|walk|filter|reduce|diff_ukey|udiff)|u[ak]sort|usort)\s*\(\s*(array\s*\(|\[)?\s*\$_(GET|POST|REQUEST|COOKIE)\b[^;]{0,80},\s*(\$\w+|base64_decode\s*\([^;]{1,60}|str_rot13\s*\([^;]{1,60}|strrev\s*\([^;]{1,60}|['"]\w{1,6}['"]\s*\.\s*['"][^;]{1,60})\s*\)/i
  condition:
    $option or $decoded or $closure or (any of ($first, $later, $tricky, $data, $iterator)) or ($runs)
}

rule php_regex_executes {
  meta:
    description = "PHP evaluates what a regular expression matched (the /e modifier)"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $call = /(preg_(replace|filter)|mb_ereg(i)?_replace)(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\((\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*(['"]|array\s*\(\s*['"]|\[\s*['"])([\/#~|@!%+,-][^\n;]{0,120}[\/#~|@!%+,-]|[({\[][^\n;]{0,120}[)}\]])[imsxuADSUXJ]{0,6}e[imsxuADSUXJ]{0,6}['"]\s*[\])]?\s*,[^;]{0,60}(eval|assert|system|exec|passthru|base64|\\x|\$_|\$\w+\s*[,(]|str_rot13|chr\s*\()/i
    $mb = /mb_ereg(i)?_replace\s*\([^;]{0,200},\s*['"][imsxp]{0,4}e[imsxp]{0,4}['"]\s*\)/i
    $modifier = /(preg_replace|preg_filter)\s*\(\s*(\$_(GET|POST|REQUEST|COOKIE)|['"][^'"\n]{0,40}['"]\s*\.\s*\$_(GET|POST|REQUEST|COOKIE))/i
    $hexed = /preg_replace\s*\(\s*['"]\\x[0-9a-f]{2}[^;]{0,60}\\x65['"]\s*,/i
  condition:
    any of them
}

rule php_regex_modifier_e {
  meta:
    description = "PHP has a regular expression with the /e modifier, which evaluates; long gone from the language"
    severity = "info"
    attack = "T1059"
  strings:
    $call = /preg_(replace|filter)\s*\(\s*['"][\/#~|@!%][^\n'"]{0,120}[\/#~|@!%][imsxuADSUXJ]{0,6}e[imsxuADSUXJ]{0,6}['"]\s*,/
  condition:
    $call
}

rule php_include_request {
  meta:
    description = "PHP includes a file that the request names, the request's own body, or inline data"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $request = /(^|[^\w>:$'"-])(include|require)(_once)?(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\(?(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*(\w{3,20}\s*\(\s*){0,2}\$_(GET|POST|REQUEST|COOKIE)\s*[\[{]/i
    $join = /(^|[^\w>:$'"-])(include|require)(_once)?\s*\(?\s*["'][^"';\n]{0,60}["']?\s*\.?\s*\{?\$_(GET|POST|REQUEST|COOKIE)\s*[\[{]/i
    $input = /(^|[^\w>:$'"-])(include|require)(_once)?(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\(?(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*["'](php:\/\/(input|filter)|data:[^"'\n]{0,40}(base64|plain|,)|expect:\/\/|zip:\/\/|compress\.zlib:\/\/)/i
    $remote = /(^|[^\w>:$'"-])(include|require)(_once)?(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\(?(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*["'](https?|ftps?):\/\/[^"'\n]{4,200}["']/i
    $picture = /[;{}>@]\s{0,20}@?(include|require)(_once)?\s*\(?\s*["'][^"'\n]{1,160}\.(ico|gif|jpe?g|png|bmp|webp|woff2?|pdf|mp3|log)["']\s*\)?\s*;/i
    $escaped = /(include|require)(_once)?\s*\(?\s*"[^"\n]{0,80}(\\x[0-9a-f]{2}|\\[0-7]{2,3})[^"\n]{0,20}(\\x[0-9a-f]{2}|\\[0-7]{2,3})/i
    $decoded = /(^|[^\w>:$'"-])(include|require)(_once)?(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\(?(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*(base64_decode|str_rot13|hex2bin|strrev|gzinflate|urldecode|rawurldecode|convert_uudecode)\s*\(/i
    $temporary = /(^|[^\w>:$'"-])(include|require)(_once)?(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*\(?(\s|\/\*[^*]*(\*+[^*\/][^*]*)*\*+\/|@|(#|\/\/)[^\n]*\n)*["'](\/tmp\/|\/var\/tmp\/|\/dev\/shm\/)/i
    $uploaded = /(^|[^\w>:$'"-])(include|require)(_once)?\s*\(?\s*\$_FILES\s*\[/i
    $temporary_name = /(^|[^\w>:$'"-])(include|require)(_once)?[\s(]{1,4}\$\w{1,40}\s*(\[[^\]]{1,30}\]\s*)?\[\s*['"]tmp_name['"]/i
    $archive = /['"](phar|zip|compress\.zlib|compress\.bzip2):\/\/[^'"\n]{0,120}\.(jpe?g|png|gif|ico|bmp|webp|txt|pdf|css|mp3|log)([\/#][^'"\n]{0,60})?['"]/i
    $stored = /(file_put_contents|fwrite|fputs)\s*\(\s*\$\w+\s*,[^;]{0,60}\$_(GET|POST|REQUEST|COOKIE)\s*[\[{][^;]{1,80};/i
    $variable = /(^|[^\w>:$'"-])(include|require)(_once)?[\s(]{1,4}\$\w{1,40}\s*\)?\s*;/i
    $input_read = /\$_(GET|POST|REQUEST|COOKIE)\b|php:\/\/input/
    $wrapper = /stream_wrapper_register\s*\(/i
    $wrapped = /(^|[^\w>:$'"-])(include|require)(_once)?[\s(]{1,4}["'][a-z][\w.+-]{1,30}:\/\//i
  condition:
    (any of ($request, $join, $input, $remote, $picture, $escaped, $decoded, $temporary, $uploaded, $temporary_name, $archive))
    or for any i in (1..math.min(#stored, 50)) : ($variable in (@stored[i]..@stored[i] + 500))
    or ($wrapper and $wrapped and $input_read)
}

rule php_write_request {
  meta:
    description = "PHP writes what the request brings into a file that the request names, or that will be run"
    severity = "suspect"
    attack = "T1105"
  strings:
    $both = /(file_put_contents|fwrite|fputs)\s*\([^;]{0,80}\$_(GET|POST|REQUEST|COOKIE)\s*[\[{][^;]{0,60},[^;]{0,60}(\$_(GET|POST|REQUEST|COOKIE)\s*[\[{]|php:\/\/input)/i
    $script = /file_put_contents\s*\([^;]{0,80}\.(php\d?|phtml|phar|inc|htaccess|user\.ini)["'][^;]{0,80}(\$_(GET|POST|REQUEST|COOKIE)\s*[\[{]|php:\/\/input)/i
    $decoded = /(file_put_contents|fwrite|fputs)\s*\([^;]{0,120},\s*(base64_decode|gzinflate|hex2bin|urldecode|str_rot13|stripslashes\s*\(\s*base64_decode|convert_uudecode)\s*\(\s*\$_(GET|POST|REQUEST|COOKIE)\s*[\[{]/i
    $opened = /fopen\s*\(\s*\$_(GET|POST|REQUEST|COOKIE)\s*[\[{][^;]{1,60},\s*["'][waxc]b?\+?["']\s*\)/i
    $body = /(fwrite|fputs)\s*\(\s*\$\w+\s*,\s*(\w{3,20}\s*\([^;$]{0,30}){0,3}\$_(GET|POST|REQUEST|COOKIE)\s*[\[{]/i
    $stream = /stream_copy_to_stream\s*\(|CURLOPT_FILE\b|["']php:\/\/input["']/
    $put = /file_put_contents\s*\([^;]{0,80}(\$_(SERVER|GET|POST|REQUEST|COOKIE)\s*[\[{]|getenv\s*\()[^;]{0,80}php:\/\/input/i
    $holds = /(file_put_contents|fwrite|fputs|fputcsv)\s*\([^;]{1,120}<\?(php|=)[^;]{0,120}(eval|assert|system|exec|passthru|base64_decode|\$_(GET|POST|REQUEST|COOKIE))/i
  condition:
    $both or $script or $decoded or $holds or $put or ($opened and ($body or $stream))
}

rule php_backdoor_account {
  meta:
    description = "PHP makes an administrator of WordPress, or logs one in, on a request that anybody can send"
    severity = "suspect"
    attack = "T1136"
  strings:
    $make = /(wp_create_user|wp_insert_user)\s*\(/i
    $admin = /set_role\s*\(\s*['"]administrator|['"]role['"]\s*=>\s*['"]administrator/i
    $cookie = /wp_set_auth_cookie\s*\(/i
    $request = /\$_(GET|POST|REQUEST|COOKIE)\s*\[/
    $guard = /check_admin_referer|wp_verify_nonce|current_user_can|check_ajax_referer|is_user_logged_in|wp_check_password|REST|namespace /
  condition:
    filesize < 12KB and not $guard and (($make and $admin) or ($cookie and $request))
}

rule php_command_named {
  meta:
    description = "PHP takes a command from the request under a telling name, and runs what has that name"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $take = /\$(cmd|command|comand|comando|execute|exec|shell|kod|evil|cmnd|xcmd|sh)\s*=[^;\n]{0,60}\$_(GET|POST|REQUEST|COOKIE|SERVER)\s*[\[{]/i
    $run = /(^|[^\w>:$'"-])(eval|system|passthru|shell_exec|exec|popen|proc_open|pcntl_exec)\s*\(\s*["'(]{0,3}\{?\$(cmd|command|comand|comando|execute|exec|shell|kod|evil|cmnd|xcmd|sh)\b/i
    $safe = /escapeshell(arg|cmd)\s*\(\s*\$(cmd|command|comand|comando|execute|exec|shell|sh)\b/i
  condition:
    $take and $run and not $safe
}

rule php_picture_read_and_run {
  meta:
    description = "PHP reads a picture's pixels or EXIF and runs what it finds there"
    severity = "suspect"
    attack = "T1027.003"
  strings:
    $read = /(exif_read_data|read_exif_data|imagecolorat|iptcparse|getimagesize\s*\([^;]{1,60},\s*\$\w+)\s*\(?/i
    $run = /(^|[^\w>:$'"-])(eval|assert|create_function|system|preg_replace|include)\s*\(\s*["']?\$\w{1,40}\s*([)\[.]|,\s*\$\w{1,40}\s*\[)/i
    $eval = /(^|[^\w>:$'"-])(eval|assert|create_function|system|passthru|shell_exec)\s*\(\s*["']?\$\w/i
    $metadata = /preg_replace\s*\(\s*\$\w{1,40}\s*\[\s*['"](\w{1,20})['"]\s*\]\s*,\s*\$\w{1,40}\s*\[/i
  condition:
    $read and ($metadata or ($eval and $run and filesize < 32KB))
}

rule php_functions_by_xml {
  meta:
    description = "PHP lets a stylesheet or a path that the request brings call its functions"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $open = /registerPhpFunctions\s*\(\s*\)/i
    $request = /\b(loadXML|load|evaluate|query|importStylesheet)\s*\([^;]{0,160}\$_(GET|POST|REQUEST|COOKIE)\s*[\[{]/i
    $calls = /php:function(String)?\s*\(\s*\\?['"](system|exec|shell_exec|passthru|assert|popen|file_put_contents)/i
  condition:
    $open and any of ($request, $calls)
}

rule php_route_runs {
  meta:
    description = "A route or a hook of an application, open to anybody, runs what it is given"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $route = /register_rest_route\s*\(|wp_ajax_nopriv_|add_shortcode\s*\(|Route::(get|post|any|match)\s*\(|\$(app|router)->(get|post|any|map)\s*\(/i
    $run = /(^|[^\w>:$'"-])(eval|assert|system|passthru|shell_exec|exec|popen|proc_open)\s*\(\s*(\w{3,20}\s*\(\s*){0,2}\$\w{1,20}\s*(\[\s*['"]\w{1,20}['"]\s*\]|->\w{1,20}(\s*\(\s*['"]\w{1,20}['"]\s*\))?|\s*\))/i
  condition:
    $route and $run
}
