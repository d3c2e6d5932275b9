// What tells a web server or PHP to run what is no program: .htaccess, .user.ini, web.config.

import "math"

rule htaccess_runs_pictures {
  meta:
    description = "Server configuration that has pictures or other harmless files run as programs"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $type = /(^|\n)[ \t]*(AddType|AddHandler)[ \t]+["']?[^\s#]{0,60}(php|x-httpd|cgi-script|perl|asp|jsp|server-parsed)[^\s#]{0,40}["']?[ \t]+[^\n#]{0,120}\.?\b(gif|jpe?g|png|ico|bmp|webp|svg|txt|log|css|js|pdf|zip|html?|xml|json|mp[34]|woff2?|docx?|dat|bak|test|alfa|haxor|shell)\b/i
    $odd = /(^|\n)[ \t]*(AddType|AddHandler)[ \t]+["']?(application\/x-httpd-(php|cgi)\d*|php\d*-script|cgi-script|fcgid-script|x-httpd-php\d*)["']?[ \t]+\.?(l33t|l[0-9a-z]{1,3}t|[a-z0-9]{1,4}sh|x{2,4}|[0-9]{2,4}|k1ng|root|suspected|fla|xyz|abc)[ \t\r]*(\n|$)/i
    $match = /<Files(Match)?[ \t~]+["']?[^\n>]{0,80}\b(gif|jpe?\??g|png|ico|bmp|webp|svg|txt|log|css|js|pdf|zip|html?|xml|woff2?|dat)\b[^\n>]{0,60}>\s*([^\n<]{0,120}\n\s*){0,4}(SetHandler|ForceType|AddHandler|AddType)[ \t]+["']?[^\s]{0,60}(php|cgi-script|proxy:[^\n]{0,60}fcgi)/i
    $any = /(^|\n)[ \t]*(AddType|AddHandler)[ \t]+["']?(application\/x-httpd-php[\w-]{0,12}|php\d*-(script|fcgi|cgi)|proxy:[^\n ]{1,80}fcgi[^\n ]{0,40})["']?[ \t]+\.?[a-z0-9]{1,12}[ \t\r]*(\n|$)/i
    $known = /(^|\n)[ \t]*(AddType|AddHandler)[ \t]+["']?(application\/x-httpd-php[\w-]{0,12}|php\d*-(script|fcgi|cgi)|proxy:[^\n ]{1,80}fcgi[^\n ]{0,40})["']?[ \t]+\.?(php[s\d]{0,2}|phtml|phar|pht|inc|html?|shtml|module|tpl|ctp|phps)\b/i
    $self = /<Files(Match)?[ \t~]+["']?[^\n>]{0,12}(\\?\.ht(access)?|\^\\?\.ht|\.user\\?\.ini)[^\n>]{0,20}>\s*([^\n<]{0,120}\n\s*){0,4}(Require[ \t]+all[ \t]+granted|Allow[ \t]+from[ \t]+all|SetHandler[ \t]+[^\n]{0,40}php)/i
    $named = /<Files[ \t]+["']?[^\n>]{1,60}\.(gif|jpe?g|png|ico|txt|pdf|css|log)["']?[ \t]*>\s*([^\n<]{0,120}\n\s*){0,4}(SetHandler|ForceType|AddType)[ \t]+[^\n]{0,60}(php|cgi)/i
  condition:
    (any of ($type, $odd, $match, $self, $named) or for any i in (1..math.min(#any, 50)) : (not $known at @any[i]))
}

rule htaccess_runs_everything {
  meta:
    description = "Server configuration that has every file of a folder run as PHP or CGI"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $all = /^\s{0,40}(SetHandler|ForceType)[ \t]+["']?(application\/x-httpd-php\d*|php\d*-script|cgi-script)/i
    $exec = /(^|\n)[ \t]*Options[ \t]+[^\n]{0,60}\+?ExecCGI/i
    $handler = /(^|\n)[ \t]*(AddHandler[ \t]+cgi-script[ \t]+\S|SetHandler[ \t]+cgi-script)/i
    $server = /<(Directory|VirtualHost|Location)|\n\s*(Script)?Alias(Match)?\s/i
    // An honest CGI program says what its front page is, and has no endings but the usual ones run.
    $usual = /(^|\n)[ \t]*AddHandler[ \t]+cgi-script([ \t]+\.(f?cgi|rb|pl|py))+[ \t]*\r?(\n|$)/i
    $front = /(^|\n)[ \t]*DirectoryIndex[ \t]+[\w.-]+\.(f?cgi|rb|pl|py)\b/i
  condition:
    not $server and (($all and filesize < 2KB)
      or ($exec and $handler and filesize < 1KB and not ($front and #usual == #handler)))
}

rule htaccess_prepends {
  meta:
    description = "Configuration that puts a file before or after every PHP script"
    severity = "suspect"
    attack = "T1546"
  strings:
    $apache = /(^|\n)[ \t]*php_(admin_)?value[ \t]+["']?auto_(ap|pre)pend_file["']?[ \t]+["']?[^\s"'#]{2}/i
    $ini = /(^|\n)[ \t]*auto_(ap|pre)pend_file[ \t]*=[ \t]*["']?[^\s"';]/i
    $none = /auto_(ap|pre)pend_file["']?[ \t=]+["']?(none\b|wordfence-waf\.php|\/[^\n"']{1,200}\/wordfence-waf\.php)/i
  condition:
    not $none and any of ($apache, $ini)
}

rule htaccess_input {
  meta:
    description = "Configuration that opens PHP up: the request's body as a script, remote includes, functions allowed again"
    severity = "suspect"
    attack = "T1562.001"
  strings:
    $input = /auto_(ap|pre)pend_file[ \t=]+["']?(php:\/\/|data:|https?:|\.ht|\/tmp\/)/i
    $include = /(^|\n)[ \t]*(php_(admin_)?(value|flag)[ \t]+)?allow_url_include[ \t=]+["']?(1|on|true)/i
    $functions = /(^|\n)[ \t]*(php_(admin_)?value[ \t]+)?disable_functions[ \t=]+["']?(none|null|""|'')?[ \t\r]*["']?[ \t\r]*(\n|$)/i
    $zend = /(^|\n)[ \t]*php_value[ \t]+(zend_extension|extension)[ \t]/i
    $long = /\[PHP\]|; About php\.ini/
  condition:
    not $long and any of ($input, $include, $functions, $zend)
}

rule htaccess_sends_searchers_away {
  meta:
    description = "Server configuration that sends visitors from search engines to another site"
    severity = "suspect"
    attack = "T1608"
  strings:
    $from = /RewriteCond[ \t]+%\{HTTP_(REFERER|USER_AGENT)\}[ \t]+["']?[^!\n]{0,80}(google|bing|yahoo|yandex|msn|duckduckgo|android|iphone)/i
    $to = /RewriteRule[ \t]+\S{1,80}[ \t]+["']?https?:\/\/[^%\s]{4,200}[ \t\]]/i
  condition:
    all of them
}

rule webconfig_runs_pictures {
  meta:
    description = "A web.config that has pictures, or itself, run as programs"
    severity = "suspect"
    attack = "T1505.004"
  strings:
    $add = /<add\s[^>]{0,200}path\s*=\s*["']\*?\.?(gif|jpe?g|png|ico|txt|css|js|html?|config|web\.config|log)["'][^>]{0,400}(scriptProcessor|IsapiModule|PageHandlerFactory|CgiModule|FastCgiModule|type\s*=\s*["']System\.Web\.UI)/i
    $self = /<add\s[^>]{0,200}path\s*=\s*["'][^"']{0,20}web\.config["'][^>]{0,400}(scriptProcessor|asp\.dll|IsapiModule)/i
    $build = /<buildProviders>\s*(<remove[^>]{0,80}>\s*)?<add\s+extension\s*=\s*["']\.(config|gif|jpe?g|png|txt|css)/i
    $script = /<%[^%]{0,150}(Request|CreateObject|Execute|eval)/i
    $config = /<configuration>\s*<(system\.web|system\.webServer)/i
  condition:
    any of ($add, $self, $build) or ($script and $config)
}

rule htaccess_lets_one_run {
  meta:
    description = "Server configuration that denies all PHP but a few files with a name of their own"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $deny = /<FilesMatch[ \t]+["']?[^\n>]{0,60}\b(php|phtml|suspected|py|exe)\b[^\n>]{0,80}>\s*([^\n<]{0,80}\n\s*){0,3}(Deny[ \t]+from[ \t]+all|Require[ \t]+all[ \t]+denied)/i
    $allow = /<Files(Match)?[ \t]+["']?\^?\(?[^\n>]{1,400}(\\?\.php\d?|\)\\?\.php)[^\n>]{0,20}>\s*([^\n<]{0,80}\n\s*){0,3}(Allow[ \t]+from[ \t]+all|Require[ \t]+all[ \t]+granted)/i
  condition:
    filesize < 64KB and all of them
}

rule server_side_include_runs {
  meta:
    description = "A page runs a command by a server side include"
    severity = "suspect"
    attack = "T1505.003"
  strings:
    $exec = /<!--\s*#\s*exec\s+(cmd|cgi)\s*=\s*["'][^"'\n]{0,80}(\b(id|ls|cat|uname|whoami|wget|curl|perl|sh|bash|python\d?|nc)\b|\$\{?QUERY|\$\{?HTTP_)/i
  condition:
    $exec and filesize < 200KB
}
