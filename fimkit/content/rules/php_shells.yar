// Grown PHP shells: what a single call does not give away, the company that the calls keep does.

rule php_command_ladder {
  meta:
    description = "PHP tries one way to run a command after another, until one is not disabled"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $system = /(function_exists|is_callable|\w*enabled?\w*|\w*exists?\w*)\s*\(\s*['"]system['"]\s*\)|['"]system['"]\s*(=>|,)/i
    $passthru = /(function_exists|is_callable|\w*enabled?\w*|\w*exists?\w*)\s*\(\s*['"]passthru['"]\s*\)|['"]passthru['"]\s*(=>|,|\))/i
    $shell_exec = /(function_exists|is_callable|\w*enabled?\w*|\w*exists?\w*)\s*\(\s*['"]shell_exec['"]\s*\)|['"]shell_exec['"]\s*(=>|,|\))/i
    $exec = /(function_exists|is_callable|\w*enabled?\w*|\w*exists?\w*)\s*\(\s*['"]exec['"]\s*\)|['"]exec['"]\s*(=>|,)/i
    $popen = /(function_exists|is_callable|\w*enabled?\w*|\w*exists?\w*)\s*\(\s*['"]popen['"]\s*\)|['"]popen['"]\s*(=>|,|\))/i
    $proc_open = /(function_exists|is_callable|\w*enabled?\w*|\w*exists?\w*)\s*\(\s*['"]proc_open['"]\s*\)|['"]proc_open['"]\s*(=>|,|\))/i
    $call_system = /[^\w>:$'"-]system\s*\(\s*['"]?\$/i
    $call_passthru = /[^\w>:$'"-]passthru\s*\(\s*['"]?\$/i
    $call_shell = /[^\w>:$'"-]shell_exec\s*\(\s*['"]?\$/i
    $call_exec = /[^\w>:$'"-]exec\s*\(\s*['"]?\$/i
    $call_popen = /[^\w>:$'"-]popen\s*\(\s*['"]?\$/i
    $call_proc = /[^\w>:$'"-]proc_open\s*\(\s*['"]?\$/i
    $request = /\$_(GET|POST|REQUEST|COOKIE|SERVER)|php:\/\/input/
  condition:
    $request and (
      (3 of ($call_*) and 2 of ($system, $passthru, $shell_exec, $exec, $popen, $proc_open))
      or (4 of ($call_*)))
}

rule php_file_manager_shell {
  meta:
    description = "PHP that looks at the host, walks its files, changes them and runs commands: a shell with an interface"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $run = /(^|[^\w>:$'"-])(eval|system|passthru|shell_exec|exec|popen|proc_open|assert)\s*\(\s*[@(]?\s*['"]?\$/i
    $host1 = "php_uname" nocase
    $host2 = "disable_functions" nocase
    $host3 = "safe_mode" nocase
    $host4 = "open_basedir" nocase
    $host5 = /posix_get(pwuid|euid|uid|grgid)\s*\(/i
    $host6 = "/etc/passwd"
    $host7 = /\b(uname -a|whoami|ifconfig|netstat -an?)\b/
    $host8 = /(get_current_user|getmyuid|diskfreespace|disk_free_space)\s*\(/i
    $file1 = /\b(opendir|scandir|glob|readdir)\s*\(\s*[$@.]/i
    $file2 = /\bfileperms\s*\(/i
    $file3 = /\b(unlink|rmdir)\s*\(\s*[$@]/i
    $file4 = /\bchmod\s*\(\s*[$@]/i
    $file5 = /\b(move_uploaded_file|copy)\s*\(\s*[$@]/i
    $file6 = /\brename\s*\(\s*[$@]/i
    $file7 = /\b(highlight_file|show_source|readfile|file_get_contents|fread)\s*\(\s*[$@]/i
    $file8 = /\b(file_put_contents|fwrite|fputs)\s*\(\s*[$@]/i
    $file9 = /\b(touch|filemtime)\s*\(\s*[$@]/i
    $form1 = /multipart\/form-data/i
    $form2 = /<textarea/i
    $form3 = /<input[^>]{1,120}(cmd|command|exec|upload|shell|eval|chdir|path)/i
    $form4 = /(getcwd|chdir)\s*\(/i
    $form5 = /\b(set_time_limit\s*\(\s*0|error_reporting\s*\(\s*0|ini_set\s*\(\s*['"](display_errors|error_log|log_errors))/i
    $request = /\$_(GET|POST|REQUEST|COOKIE|FILES)/
  condition:
    $request and (
      ($run and 2 of ($host*) and 4 of ($file*) and 2 of ($form*))
      or ($run and 4 of ($host*) and 2 of ($file*) and 1 of ($form*))
      or (6 of ($file*) and 2 of ($host*) and 2 of ($form*)))
}

rule php_sql_or_bypass_shell {
  meta:
    description = "PHP goes around the limits of its own configuration to run a command"
    severity = "suspect"
    attack = "T1548"
  strings:
    $preload = /putenv\s*\([^;]{0,80}LD_PRELOAD/i
    $mail = /\b(mail|mb_send_mail|error_log|imap_mail)\s*\(/i
    $imap = /imap_open\s*\([^;]{0,160}(-oProxyCommand|x\s*-o)/i
    $com = /new\s+COM\s*\(\s*['"](WScript\.Shell|Shell\.Application)['"]/i
    $ffi = /FFI::(cdef|load)\s*\([^;]{0,200}\bsystem\s*\(/i
    $run = /->\s*(exec|run|ShellExecute)\s*\(/i
    $request = /\$_(GET|POST|REQUEST|COOKIE)|php:\/\/input/
    $udf = /create\s+function\s+sys_(eval|exec|bineval)\s+returns/i
    $outfile = /into\s+(out|dump)file\s+['"][^'"\n]{1,160}\.(php\d?|phtml|jsp|aspx?)['"]/i
  condition:
    ($preload and $mail) or $imap or ($com and $run and $request) or $ffi or $udf or $outfile
}

rule php_password_gate {
  meta:
    description = "PHP compares a hash of the request with a fixed one, and then runs or decodes something"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $gate = /(md5|sha1|crypt|hash\s*\(\s*['"]\w+['"]\s*,)\s*\(?[^;\n]{0,40}\$_(GET|POST|REQUEST|COOKIE|SERVER)\s*[\[{][^;\n]{0,60}[!=]==?\s*['"$]/i
    $gate2 = /['"][0-9a-f]{32,40}['"]\s*[!=]==?\s*(md5|sha1)\s*\([^;\n]{0,40}\$_(GET|POST|REQUEST|COOKIE|SERVER)/i
    $run = /(^|[^\w>:$'"-])(eval|assert|system|passthru|shell_exec|exec|popen|proc_open|create_function|gzinflate|str_rot13)\s*\(\s*[@$"'(\w]/i
  condition:
    any of ($gate, $gate2) and $run
}

rule php_shell_settings {
  meta:
    description = "PHP begins with the settings of a known family of shells: its password, its actions, its name"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $php = /<\?(php|=|\s)/i
    $password = /\$(auth_pass|login_pass|shell_pass|md5_pass|kunci)\s*=\s*['"][0-9a-f]{32,40}['"]/i
    $action = /\$default_action\s*=\s*['"](FilesMan|SecInfo|Console|SelfRemove)['"]/
    $handler = /\bfunction\s+action(FilesMan|SecInfo|Console|Bruteforce|SelfRemove|SafeMode|StringTools)\s*\(/
    $command = /\bfunction\s+(wsoEx|wsoHeader|myshellexec|shell_?execute?|c99\w{1,20}|r57\w{1,20}|b374k\w{0,20})\s*\(/i
  condition:
    $php and ($action or $handler or $password or $command)
}

rule php_function_decided_by_object {
  meta:
    description = "PHP restores objects of a cookie or form, and an object of the same small file calls what its property names"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $restores = /\bunserialize\s*\(\s*(\w{3,20}\s*\(\s*){0,3}\$_(GET|POST|REQUEST|COOKIE)\s*[\[{]/i
    $magic = /function\s+__(destruct|wakeup|toString|unserialize)\s*\(/i
    $calls = /\(\s*\$this\s*->\s*\w{1,40}\s*\)\s*\(|call_user_func(_array)?\s*\(\s*\$this\s*->|(^|[^\w>:$'"-])(eval|assert|system|passthru|shell_exec|exec|popen|include|require)[\s(]{1,4}\$this\s*->/i
  condition:
    filesize < 16KB and all of them
}

rule php_filter_callback_request {
  meta:
    description = "PHP filters a value by the function that the request names"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $options = /FILTER_CALLBACK\s*,\s*(array\s*\(|\[)\s*['"]options['"]\s*=>\s*\(?(string\)\s*)?\$_(GET|POST|REQUEST|COOKIE|SERVER)\s*[\[{]/i
    $numbered = /filter_(var|input)(_array)?\s*\([^;]{1,120},\s*1024\s*,[^;]{0,40}\$_(GET|POST|REQUEST|COOKIE|SERVER)\s*[\[{]/i
  condition:
    any of them
}

rule php_include_made_address {
  meta:
    description = "PHP includes inline data or another host's file, by an address that it puts together of parts with the request in it"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $parts = /(^|[^\w>:$'"-])(include|require)(_once)?[\s(@]{1,4}(\$\w{1,40}|['"][\w:]{1,12}['"])\s*\.\s*['"]:?\/\/[^;]{0,120}\$_(GET|POST|REQUEST|COOKIE|SERVER)\s*[\[{]/i
    $wrapper = /(^|[^\w>:$'"-])(include|require)(_once)?[\s(@]{1,4}\$\w{1,40}\s*\.\s*['"]:?\/\/(text\/plain|input|filter|,|;?base64)/i
  condition:
    any of them
}

rule php_body_kept_as_named {
  meta:
    description = "A small PHP file writes the request's body to the file that the request names"
    severity = "suspect"
    attack = "T1105"
  strings:
    $opened = /fopen\s*\([^;,]{0,100}\$_(SERVER\s*\[\s*['"](QUERY_STRING|PATH_INFO|HTTP_\w{1,30}|REQUEST_URI)|GET|POST|REQUEST|COOKIE)[^;,]{0,40},\s*['"][waxc]b?\+?b?['"]/i
    $body = /fopen\s*\(\s*['"]php:\/\/input['"]|file_get_contents\s*\(\s*['"]php:\/\/input['"]/i
    $kept = /stream_copy_to_stream\s*\(|\b(fwrite|fputs)\s*\(/i
  condition:
    filesize < 16KB and all of them
}
